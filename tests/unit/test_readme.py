"""README leaves nothing out: every option, every route, every variable."""

import re
from pathlib import Path

import pytest

from github_banners.api.routes import HANDLERS
from github_banners.look import OPTIONS
from github_banners.settings import VARIABLES

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CODE = {
    word for code in re.findall(r"`([^`\n]+)`", README) for word in re.findall(r"[^\s,?]+", code)
}
# Parts of a page, which nobody asks for by hand.
PARTS = {"/docs/{name}"}
ROUTES = {re.sub(r":\w+}", "}", path) for handler in HANDLERS for path in handler.paths} - PARTS


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_named(name: str) -> None:
    assert name in CODE


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_every_route_is_named(path: str) -> None:
    assert path in CODE


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_is_named(name: str) -> None:
    assert f"| `{name}` |" in README
