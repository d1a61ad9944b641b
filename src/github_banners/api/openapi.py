"""
What can be asked, as an OpenAPI 3.1 document: pure data.

The framework would write it from the signatures of handlers. Ours read the raw request, so that one
parser serves query, body and command line; every option would have to be named again for it, and it
knows only one media type and no headers for each status. So the options come from `look.OPTIONS`,
the words of a refusal from its error, and the paths are compared with the routes by a test.
https://spec.openapis.org/oas/v3.1.1.html
"""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec

from github_banners.errors import (
    BannersError,
    InvalidInput,
    InvalidOption,
    InvalidType,
    TooManyBanners,
    TooManyRequests,
    Unavailable,
    UnknownBanner,
    UnknownUser,
)
from github_banners.models import Stats
from github_banners.options import LOGIN_PATTERN, OPTIONS, BannerOptions, allowed_values

JsonSchema: TypeAlias = dict[str, Any]
"""A part of the document."""

_DESCRIPTION = """\
Live banners of a developer's GitHub work.

- `HEAD` works wherever `GET` does.
- Names and values of options may be written in any case, and an empty value is the default. Names
  that do not exist are ignored; one that is close to an option is named in JSON as `unknown`.
- A client that shows pictures only (its `Accept` has `image/` and not `text/html`, the address ends
  in `.svg` or `.png` or has such a `format`, it sends `Sec-Fetch-Dest: image`, or is GitHub's image
  proxy) gets every error as a drawn explanation, with status 200.
- Types may be written as other services' themes, and locales as `pt_BR` or `de-AT`.
- PNG is twice as large, light where an SVG is both, and still. Its fonts cover Latin, Greek and
  Cyrillic; a box stands for each other character. Where it can't be drawn in time the answer is
  SVG: the `Content-Type` counts.
"""
_CREATE_DESCRIPTION = """\
The same wish gets the same address again. Options may be written as in an address, too: lists with
commas between, numbers and truth as text.
"""
_MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png", "json": "application/json"}
_REF = "#/components/schemas/{name}"
_USERNAME: JsonSchema = {
    "type": "string",
    "pattern": f"^{LOGIN_PATTERN}$",
    "description": "a GitHub login, in any case",
    "examples": ["torvalds"],
}
_NAME: JsonSchema = {
    "type": "string",
    "description": "the name of a permanent banner, in any case",
    "examples": ["torvalds-dark"],
}
_UNKNOWN: JsonSchema = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "description": "options that do not exist, each with the one that was probably meant",
}
_RETRYABLE_ERRORS = (TooManyRequests, Unavailable)
_HEADERS = {
    "Allow": "the methods that there are",
    "Cache-Control": "how long the answer may be kept",
    "ETag": "the tag of these bytes, for `If-None-Match`",
    "Location": "the permanent address",
    "Retry-After": "seconds to wait",
}
_DEFAULTS = {
    field.encode_name: msgspec.json.decode(msgspec.json.encode(field.default))
    for field in msgspec.structs.fields(BannerOptions)
}
_ALIASES = {
    field.encode_name: field.name
    for field in msgspec.structs.fields(BannerOptions)
    if field.name != field.encode_name
}


class Numbers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An owner's numbers; `stale` ones are older than the soft TTL, `unknown` are misspelt options."""

    username: str
    display_name: str | None
    stats: Stats
    fetched_at: datetime
    stale: bool
    unknown: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


def build_document(*, formats: Sequence[str], version: str, base_path: str = "") -> JsonSchema:
    """
    Write the whole document; `formats` are those that a banner can be had in.

    `base_path` is where the service is found on its host, if that is not the root.
    """
    servers = {"servers": [{"url": base_path}]} if base_path else {}
    _, schemas = msgspec.json.schema_components([Numbers], ref_template=_REF)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "GitHub Banners",
            "version": version,
            "description": _DESCRIPTION,
        },
        **servers,
        "tags": [{"name": "BannerService"}, {"name": "Health"}],
        "paths": {
            "/banners/preview": {"get": _preview_operation(formats)},
            "/banners": {"post": _create_banner_operation()},
            "/banners/{name}": {"get": _get_banner_operation(formats)},
            "/healthz": {"get": _health_operation("alive", "Is the process alive?")},
            "/readyz": {"get": _health_operation("ready", "Can it answer with a picture?")},
        },
        "components": {"schemas": schemas},
    }


def option_schema(name: str) -> JsonSchema:
    """Say what an option may be, as JSON Schema; a default of None is somebody else's to choose."""
    schema = msgspec.json.schema(OPTIONS[name])
    definitions = schema.pop("$defs", {})
    kinds = schema.get("anyOf", [schema])
    schema = next(kind for kind in kinds if kind.get("type") != "null")
    values: JsonSchema = {"type": "string", "enum": [*allowed_values(name)]}
    if "$ref" in schema:
        described = definitions[schema["$ref"].rpartition("/")[2]]
        schema = {"description": described["description"], **values}
    if "$ref" in schema.get("items", {}):
        schema["items"] = values
    if "pattern" in schema:
        schema["pattern"] = _any_case(schema["pattern"])
    default = _DEFAULTS[name]
    return schema if default is None else {**schema, "default": default}


def _any_case(pattern: str) -> str:
    """Widen a colour's pattern to what is folded into it: capitals, and a `#` before."""
    return pattern.replace("^", "^#?").replace("a-f", "a-fA-F")


def _preview_operation(formats: Sequence[str]) -> JsonSchema:
    form = {"type": "string", "enum": [*formats], "default": formats[0]}
    return {
        "operationId": "preview",
        "tags": ["BannerService"],
        "summary": "Draw a banner",
        "description": "Nothing is kept: everything that the banner shall be stands in the address.",
        "parameters": [
            _parameter("username", _USERNAME, required=True),
            *(_parameter(name, option_schema(name)) for name in OPTIONS),
            _parameter("format", form),
        ],
        "responses": _banner_responses(formats)
        | _error_responses(InvalidType, InvalidOption, UnknownUser, *_RETRYABLE_ERRORS),
    }


def _get_banner_operation(formats: Sequence[str]) -> JsonSchema:
    suffixes = ", ".join(f"`.{form}`" for form in formats)
    about = f"{suffixes} may follow the name; without one it is `.{formats[0]}`."
    return {
        "operationId": "permanent",
        "tags": ["BannerService"],
        "summary": "Draw a permanent banner",
        "description": about,
        "parameters": [_parameter("name", _NAME, location="path", required=True)],
        "responses": _banner_responses(formats)
        | _error_responses(InvalidOption, UnknownBanner, *_RETRYABLE_ERRORS),
    }


def _create_banner_operation() -> JsonSchema:
    url: JsonSchema = {"type": "string", "examples": ["/banners/torvalds-dark"]}
    schema = _object({"url": url})
    schema["properties"]["unknown"] = _UNKNOWN
    made = {"application/json": {"schema": schema}}
    wish = _object({"username": _USERNAME}) | {"title": "Wish"}
    wish["properties"] |= {name: option_schema(name) for name in OPTIONS}
    return {
        "operationId": "make",
        "tags": ["BannerService"],
        "summary": "Make a permanent banner",
        "description": _CREATE_DESCRIPTION,
        "requestBody": {"required": True, "content": {"application/json": {"schema": wish}}},
        "responses": {
            "200": {"description": "it exists already", "content": made},
            "201": {
                "description": "it is made",
                "headers": _headers("Location"),
                "content": made,
            },
        }
        | _error_responses(
            InvalidType, InvalidOption, UnknownUser, TooManyBanners, *_RETRYABLE_ERRORS
        ),
    }


def _health_operation(status: str, summary: str) -> JsonSchema:
    said = _object({"status": {"type": "string", "enum": [status]}})
    if status == "ready":
        away = {"type": "array", "items": {"type": "string"}, "description": "what is away"}
        said = _object({**said["properties"], "degraded": away})
    return {
        "operationId": status,
        "tags": ["Health"],
        "summary": summary,
        "responses": {
            "200": {"description": "yes", "content": {"application/json": {"schema": said}}}
        }
        | _error_responses(),
    }


def _parameter(
    name: str, schema: JsonSchema, *, location: str = "query", required: bool = False
) -> JsonSchema:
    """Describe a parameter; lists are written with commas."""
    plain = {key: value for key, value in schema.items() if key not in {"description", "examples"}}
    words = [schema.get("description"), name in _ALIASES and f"also written `{_ALIASES[name]}`"]
    described: JsonSchema = {"name": name, "in": location, "required": required, "schema": plain}
    if any(words):
        described["description"] = "; ".join(word.rstrip(".") for word in words if word)
    if "examples" in schema:
        described["example"] = schema["examples"][0]
    if schema["type"] == "array":
        described |= {"style": "form", "explode": False}
    return described


def _banner_responses(formats: Sequence[str]) -> JsonSchema:
    numbers = {"$ref": _REF.format(name=Numbers.__name__)}
    content = {
        _MEDIA_TYPES[form]: {"schema": numbers if form == "json" else {"type": "string"}}
        for form in formats
    }
    headers = _headers("Cache-Control") | _headers("ETag", required=False)
    return {
        "200": {"description": "the banner", "headers": headers, "content": content},
        "304": {"description": "it is the one that you have", "headers": headers},
    }


def _error_responses(*errors: type[BannersError]) -> JsonSchema:
    """Describe refusals by status; a method that does not exist is refused everywhere."""
    by_status: dict[int, list[type[BannersError]]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error)
    wrong_method = HTTPStatus.METHOD_NOT_ALLOWED.phrase.lower()
    described = {"405": _error_response([wrong_method], header="Allow")}
    for status, group in by_status.items():
        sentences = [*dict.fromkeys(error.public_message for error in group)]
        header = "Retry-After" if issubclass(group[0], _RETRYABLE_ERRORS) else None
        is_input = issubclass(group[0], InvalidInput)
        described[str(status)] = _error_response(sentences, header=header, is_input=is_input)
    return dict(sorted(described.items()))


def _error_response(
    messages: Sequence[str], *, header: str | None, is_input: bool = False
) -> JsonSchema:
    problem: JsonSchema = {"error": {"type": "string", "enum": [*messages]}}
    if is_input:
        allowed = {"type": "array", "items": {"type": "string"}, "description": "what it may be"}
        field = {"type": "string", "description": "which input is wrong"}
        problem |= {"field": field, "allowed": allowed}
    schema = _object(problem)
    schema["properties"]["unknown"] = _UNKNOWN
    if is_input:
        schema["properties"]["suggestion"] = {
            "type": "string",
            "description": "the allowed value closest to the given one",
        }
    return {
        "description": ", or ".join(messages),
        "headers": _headers(header) if header else {},
        "content": {"application/json": {"schema": schema}},
    }


def _headers(name: str, *, required: bool = True) -> JsonSchema:
    kind = {"type": "integer", "minimum": 1} if name == "Retry-After" else {"type": "string"}
    return {name: {"description": _HEADERS[name], "required": required, "schema": kind}}


def _object(properties: JsonSchema) -> JsonSchema:
    """Describe an object that has all of these, and may have more."""
    return {"type": "object", "required": [*properties], "properties": {**properties}}
