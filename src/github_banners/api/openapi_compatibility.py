"""The paths of the OpenAPI document at which cards of other services are served."""

from collections.abc import Mapping

from github_banners.api.openapi_responses import JsonSchema
from github_banners.options import CARDS, STREAK_PATH, CompatibleCard, Effect, Parameter

_DESCRIPTION = """\
Takes the parameters of {service}, and draws the most similar banner. Invalid values become the
default. For programs of your own use `/banners/preview`.
"""
_PAGE_DESCRIPTION = "Without `user` this is the builder page."
_SUMMARIES = {
    "stats": "Draw the statistics of a user for a URL of {service}",
    "top languages": "Draw the languages of a user for a URL of {service}",
    "pinned repository": "Draw a repository for a URL of {service}",
    "streak": "Draw the contributions of a user for a URL of {service}",
}
_NOTES = {Effect.SAME: "the same as {options}", Effect.NEAREST: "similar to {options}"}


def build_compatible_paths(
    schemas: Mapping[str, JsonSchema], *, responses: JsonSchema
) -> JsonSchema:
    """
    Build the path items by path.

    `schemas` has the schemas of what is required: `username` and `repo`. `responses` are those of a
    preview.
    """
    return {
        card.path: {"get": _operation(card, schemas, responses)} for card in CARDS if card.is_served
    }


def _operation(
    card: CompatibleCard, schemas: Mapping[str, JsonSchema], responses: JsonSchema
) -> JsonSchema:
    description = _DESCRIPTION.format(service=card.service)
    if card.path == STREAK_PATH:
        description += _PAGE_DESCRIPTION
        banner = responses["200"]
        html = {"text/html": {"schema": {"type": "string"}}}
        responses = {**responses, "200": {**banner, "content": {**banner["content"], **html}}}
    return {
        "operationId": card.name.replace(" ", "-"),
        "tags": ["Other services"],
        "summary": _SUMMARIES[card.name].format(service=card.service),
        "description": description,
        "parameters": [_parameter(card, parameter, schemas) for parameter in card.parameters],
        "responses": responses,
    }


def _parameter(
    card: CompatibleCard, parameter: Parameter, schemas: Mapping[str, JsonSchema]
) -> JsonSchema:
    options = " and ".join(f"`{option}`" for option in parameter.options)
    required_schema = schemas.get(parameter.options[0]) if parameter.options else None
    return {
        "name": parameter.name,
        "in": "query",
        # Without `user` the path of the streak card is that of the page.
        "required": required_schema is not None and card.path != STREAK_PATH,
        "schema": required_schema or {"type": "string"},
        "description": _NOTES.get(parameter.effect, "ignored").format(options=options),
    }
