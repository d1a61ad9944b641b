"""The controls of the builder page's form, made from the OpenAPI document: one per banner option."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from github_banners.api.builder.words import Words, value_label
from github_banners.options import MAY_BE_EMPTY

_NOT_CONTROLS = {"username", "format", "layout"}


@dataclass(frozen=True, slots=True)
class Control:
    """
    The control of one option.

    `kind` is "switch", "choice", "choices", "number", "colour" or "text". `values` are the allowed
    values with their labels; for `show` the chosen ones are the first, in their order. `default` is the
    value that means no choice, as text; `value` is what the page's address holds, or the default.
    """

    name: str
    kind: str
    label: str
    default: str
    value: str
    values: tuple[tuple[str, str], ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    max_length: int | None = None


def build_controls(
    openapi: Mapping[str, Any],
    query: Mapping[str, str],
    words: Words,
    *,
    default_values: Mapping[str, str],
) -> list[Control]:
    """
    Build the controls of the parameters of `/banners/preview`, in the order of the document.

    `default_values` replace the document's defaults where the page has its own.
    """
    parameters = openapi["paths"]["/banners/preview"]["get"]["parameters"]
    return [
        _build_control(parameter["name"], parameter["schema"], query, words, default_values)
        for parameter in parameters
        if parameter["name"] not in _NOT_CONTROLS
    ]


def _build_control(
    name: str,
    schema: Mapping[str, Any],
    query: Mapping[str, str],
    words: Words,
    default_values: Mapping[str, str],
) -> Control:
    default = default_values.get(name, _as_text(schema.get("default")))
    allowed = schema.get("items", schema).get("enum", ())
    value = query.get(name, "").strip()
    is_list = schema["type"] == "array"
    if is_list:
        # Without JavaScript the form sends an empty value before the checked ones.
        value = value.strip(",")
    if not value and not (name in MAY_BE_EMPTY and name in query):
        value = default
    values = tuple((choice, value_label(name, choice, words)) for choice in allowed)
    if name == "show":
        # Without JavaScript the form sends the checked values in the order of their controls.
        values = _chosen_first(values, value.split(","))
    if allowed and not is_list:
        value = value.lower()
        # An invalid value stays chosen: the preview explains it, and a correction is offered.
        values += () if value in allowed else ((value, value),)
    return Control(
        name=name,
        kind=control_kind(name, schema),
        label=words["options"].get(name) or name.replace("_", " ").capitalize(),
        default=default,
        value=value,
        values=values,
        minimum=schema.get("minimum"),
        maximum=schema.get("maximum"),
        max_length=schema.get("maxLength"),
    )


def _chosen_first(
    values: tuple[tuple[str, str], ...], chosen: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Return the values with the chosen ones first, in the order of choosing."""
    labels = dict(values)
    return tuple(
        (value, labels[value]) for value in dict.fromkeys([*chosen, *labels]) if value in labels
    )


def control_kind(name: str, schema: Mapping[str, Any]) -> str:
    """Return the kind of control for a parameter and its JSON Schema."""
    if schema["type"] == "boolean":
        return "switch"
    if schema["type"] == "array" and "enum" in schema["items"]:
        return "choices"
    if "enum" in schema:
        return "choice"
    if schema["type"] == "integer":
        return "number"
    return "colour" if name.endswith("_color") else "text"


def _as_text(default: object) -> str:
    """Return a default of the document as it is written in a query."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, Sequence) and not isinstance(default, str):
        return ",".join(default)
    return "" if default is None else str(default)
