"""The type, the allowed values and the JSON Schema of every option, by its public name."""

from enum import StrEnum
from functools import cache
from typing import Any, get_args, get_origin

import msgspec

from github_banners.options.palettes import PALETTE_NAMES
from github_banners.options.schema import BannerOptions, Theme

OPTIONS: dict[str, Any] = {
    field.encode_name: field.type for field in msgspec.structs.fields(BannerOptions)
}
"""The type of every option, by its public name."""

LIST_OPTIONS = {
    field.encode_name
    for field in msgspec.structs.fields(BannerOptions)
    if isinstance(field.default, tuple)
}
"""Names of the options that take several values."""

MAY_BE_EMPTY = {"include"}
"""Names of the options whose empty value differs from their default."""


@cache
def option_json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of an option, without the null of an optional one; enums have no `type`."""
    schema = msgspec.json.schema(OPTIONS[name])
    if "anyOf" in schema:
        schema = next(variant for variant in schema["anyOf"] if variant.get("type") != "null")
    return schema


@cache
def allowed_values(name: str) -> tuple[str, ...]:
    """Return the allowed values of an option, or one phrase that describes an open set."""
    hint = OPTIONS[name]
    member = get_args(hint)[0] if get_origin(hint) is tuple else hint
    if isinstance(member, type) and issubclass(member, StrEnum):
        return tuple(PALETTE_NAMES if member is Theme else (value.value for value in member))
    if hint is bool:
        return ("true", "false")
    schema = option_json_schema(name)
    if "minimum" in schema:
        return (f"{schema['minimum']} to {schema['maximum']}",)
    if "maxLength" in schema:
        return (f"at most {schema['maxLength']} characters",)
    if "maxItems" in schema:
        return (f"names separated by commas, at most {schema['maxItems']}",)
    return (schema["description"],)
