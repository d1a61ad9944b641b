"""The responses of the OpenAPI document: errors by status, headers and objects."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

from github_banners.errors import (
    BannersError,
    InvalidInput,
    TooManyRequests,
    Unavailable,
    UnknownRepository,
)
from github_banners.serving.media_types import JSON

JsonSchema: TypeAlias = dict[str, Any]
"""A part of the document: a JSON Schema or another OpenAPI object."""

RETRYABLE_ERRORS = (TooManyRequests, Unavailable)
"""The errors whose responses have `Retry-After`."""

UNKNOWN_OPTIONS: JsonSchema = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "description": "unknown options, each with the option that was probably intended",
}
"""The schema of the misspelt options in a response."""

_HEADERS = {
    "Allow": "the allowed methods",
    "Cache-Control": "how long the response may be cached",
    "ETag": "the entity tag of the response, for `If-None-Match`",
    "Location": "the URL of the permanent banner",
    "Retry-After": "seconds to wait before a retry",
}


def error_responses(*errors: type[BannersError]) -> JsonSchema:
    """Build the responses of errors by status, and of 405, which every path can return."""
    by_status: dict[int, list[type[BannersError]]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error)
    wrong_method = HTTPStatus.METHOD_NOT_ALLOWED.phrase.lower()
    responses = {"405": _error_response([wrong_method], header="Allow")}
    for status, group in by_status.items():
        messages = [*dict.fromkeys(error.public_message for error in group)]
        header = "Retry-After" if issubclass(group[0], RETRYABLE_ERRORS) else None
        responses[str(status)] = _error_response(
            messages,
            header=header,
            is_input=issubclass(group[0], InvalidInput),
            has_suggestion=issubclass(group[0], InvalidInput) or UnknownRepository in group,
        )
    return dict(sorted(responses.items()))


def _error_response(
    messages: Sequence[str],
    *,
    header: str | None,
    is_input: bool = False,
    has_suggestion: bool = False,
) -> JsonSchema:
    problem: JsonSchema = {"error": {"type": "string", "enum": [*messages]}}
    if is_input:
        allowed = {"type": "array", "items": {"type": "string"}, "description": "allowed values"}
        field = {"type": "string", "description": "the name of the invalid input"}
        problem |= {"field": field, "allowed": allowed}
    schema = object_schema(problem)
    schema["properties"]["unknown"] = UNKNOWN_OPTIONS
    if has_suggestion:
        schema["properties"]["suggestion"] = {
            "type": "string",
            "description": "the allowed or existing value closest to the input",
        }
    return {
        "description": ", or ".join(messages),
        "headers": response_headers(header) if header else {},
        "content": {JSON: {"schema": schema}},
    }


def response_headers(name: str, *, required: bool = True) -> JsonSchema:
    """Build the header object of a response."""
    schema = {"type": "integer", "minimum": 1} if name == "Retry-After" else {"type": "string"}
    return {name: {"description": _HEADERS[name], "required": required, "schema": schema}}


def object_schema(properties: JsonSchema) -> JsonSchema:
    """Build the schema of an object with these required properties; it may have others."""
    return {"type": "object", "required": [*properties], "properties": {**properties}}
