"""README is short; the documentation names every option, every route and every variable."""

import re
from pathlib import Path

import pytest

from github_banners.options import OPTIONS, allowed_values, parse_options
from github_banners.settings import VARIABLES, Settings
from tests.unit.api.listed import api_routes

CHECKOUT = Path(__file__).parents[2]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
HTTP_API = (CHECKOUT / "docs/http-api.md").read_text(encoding="utf-8")
CONFIGURATION = (CHECKOUT / "docs/configuration.md").read_text(encoding="utf-8")
CODE = {
    word for code in re.findall(r"`([^`\n]+)`", HTTP_API) for word in re.findall(r"[^\s,?]+", code)
}
MAX_README_LINES = 100
# Parts of a page, which are not requested by hand.
PARTS = {"/docs/{name}"}
ROUTES = {route.path for route in api_routes()} - PARTS
# Without defaults that are described in words; that of DATA_DIR depends on the user.
DEFAULTS = [
    row
    for row in re.findall(r"^\| `([A-Z_]+)` \| (?:`([^`]+)` )?\|", CONFIGURATION, re.MULTILINE)
    if row[0] != "DATA_DIR"
]


def test_readme_is_short_and_links_every_page() -> None:
    assert len(README.splitlines()) <= MAX_README_LINES
    pages = {f"docs/{page.name}" for page in (CHECKOUT / "docs").glob("*.md")} - {"docs/index.md"}
    assert pages - set(re.findall(r"\]\((docs/[^)#]+)", README)) == set()


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_named(name: str) -> None:
    assert name in CODE


@pytest.mark.parametrize("name", [name for name in OPTIONS if len(allowed_values(name)) > 1])
def test_every_value_of_a_closed_set_is_named(name: str) -> None:
    assert {value for value in allowed_values(name) if not value.startswith("auto-")} <= CODE


def test_pairs_are_named_by_a_rule_and_each_in_its_row() -> None:
    assert "auto-NAME" in CODE
    rows = [
        set(re.findall(r"`([a-z-]+)`", line)) for line in HTTP_API.splitlines() if line[:1] == "|"
    ]
    for name in allowed_values("type"):
        pair = parse_options({"type": name}).theme.palette_names
        assert any(set(pair) <= row for row in rows), name


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_every_route_is_named(path: str) -> None:
    assert path in CODE


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_is_named(name: str) -> None:
    assert f"| `{name}` |" in CONFIGURATION


@pytest.mark.parametrize(("name", "default"), DEFAULTS, ids=[name for name, _ in DEFAULTS])
def test_every_default_is_that_of_the_settings(name: str, default: str) -> None:
    settings = Settings.from_environment({name: default})
    assert getattr(settings, name.lower()) == getattr(Settings(), name.lower())
