"""The controls of the builder page, made from the OpenAPI document."""

from copy import deepcopy
from typing import Any

import pytest

from github_banners.api.builder.controls import Control, build_controls, control_kind
from github_banners.api.builder.words import read_words
from github_banners.api.openapi import build_document
from github_banners.api.public_routes import FORMATS
from github_banners.options import OPTIONS, allowed_values

DOCUMENT = build_document(formats=FORMATS, version="1")
NEW_OPTIONS: list[dict[str, Any]] = [
    {"type": "boolean", "default": True},
    {"type": "string", "enum": ["near", "far"], "default": "far"},
    {"type": "array", "items": {"type": "string", "enum": ["near", "far"]}, "default": []},
    {"type": "integer", "minimum": 1, "maximum": 5},
    {"type": "string", "pattern": "^[0-9a-f]{3}$"},
    {"type": "string", "maxLength": 20},
]


def build_controls_by_name(
    query: dict[str, str] | None = None, document: dict[str, Any] = DOCUMENT
) -> dict[str, Control]:
    built = build_controls(document, query or {}, read_words("en"), default_values={})
    return {control.name: control for control in built}


def test_build_controls_has_every_option_but_the_layout() -> None:
    assert [*build_controls_by_name()] == [name for name in OPTIONS if name != "layout"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("type", "choice"),
        ("locale", "choice"),
        ("hide", "choices"),
        ("hide_langs", "text"),
        ("show", "choices"),
        ("repo", "text"),
        ("langs_count", "number"),
        ("title", "text"),
        ("border", "switch"),
        ("bg_color", "colour"),
    ],
)
def test_build_controls_kind_follows_schema(name: str, kind: str) -> None:
    assert build_controls_by_name()[name].kind == kind


@pytest.mark.parametrize(
    ("schema", "kind"),
    [*zip(NEW_OPTIONS, ["switch", "choice", "choices", "number", "colour", "text"], strict=True)],
)
def test_build_controls_new_option_of_document_gets_control(
    schema: dict[str, Any], kind: str
) -> None:
    document = deepcopy(DOCUMENT)
    parameters = document["paths"]["/banners/preview"]["get"]["parameters"]
    name = "far_away_color" if kind == "colour" else "far_away"
    parameters.append({"name": name, "in": "query", "schema": schema})
    control = build_controls_by_name({name: "near"}, document)[name]
    label = name.replace("_", " ").capitalize()
    assert (control.kind, control.label, control.value) == (kind, label, "near")
    assert control.kind == control_kind(name, schema)
    assert control.minimum == schema.get("minimum")
    assert control.maximum == schema.get("maximum")
    assert control.max_length == schema.get("maxLength")


def test_build_controls_lists_allowed_values_with_labels() -> None:
    controls = build_controls_by_name()
    assert [value for value, _ in controls["type"].values] == [*allowed_values("type")]
    assert dict(controls["locale"].values)["pt-br"] == "Português (Brasil)"
    assert dict(controls["hide"].values)["login"] == "user name"


def test_build_controls_default_is_written_as_in_a_query() -> None:
    controls = build_controls_by_name()
    defaults = {name: controls[name].default for name in ("border", "hide", "radius", "locale")}
    assert defaults == {"border": "true", "hide": "", "radius": "", "locale": "en"}
    assert controls["include"].default == "archived"
    assert all(control.value == control.default for control in controls.values())


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ({}, "archived"),
        ({"include": ""}, ""),
        ({"include": ",archived"}, "archived"),
        ({"include": ",archived,forks"}, "archived,forks"),
    ],
)
def test_build_controls_empty_list_is_a_choice(query: dict[str, str], value: str) -> None:
    assert build_controls_by_name(query)["include"].value == value


@pytest.mark.parametrize(
    ("query", "value", "first"),
    [
        ({}, "stars,forks,repositories", ["stars", "forks", "repositories", "commits"]),
        ({"show": "issues,stars"}, "issues,stars", ["issues", "stars", "forks", "repositories"]),
        ({"show": ",issues"}, "issues", ["issues", "stars", "forks"]),
        ({"show": ""}, "stars,forks,repositories", ["stars", "forks", "repositories"]),
        ({"show": "nonsense,issues"}, "nonsense,issues", ["issues", "stars", "forks"]),
    ],
)
def test_build_controls_shown_numbers_come_first_in_their_order(
    query: dict[str, str], value: str, first: list[str]
) -> None:
    control = build_controls_by_name(query)["show"]
    assert control.value == value
    names = [name for name, _ in control.values]
    assert names[: len(first)] == first
    assert sorted(names) == sorted(allowed_values("show"))


def test_build_controls_empty_text_is_default_and_keeps_commas() -> None:
    assert build_controls_by_name({"locale": " "})["locale"].value == "en"
    assert build_controls_by_name({"title": "Hello, "})["title"].value == "Hello,"


def test_build_controls_own_default_replaces_that_of_document() -> None:
    words = read_words("en")
    first = build_controls(DOCUMENT, {}, words, default_values={"type": "auto"})[0]
    assert (first.name, first.default, first.value) == ("type", "auto", "auto")


def test_build_controls_invalid_choice_stays_chosen() -> None:
    control = build_controls_by_name({"type": "Darkk"})["type"]
    assert control.value == "darkk"
    assert control.values[-1] == ("darkk", "darkk")
    assert build_controls_by_name({"type": " DARK "})["type"].value == "dark"
