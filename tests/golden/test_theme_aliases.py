"""Aliases for the theme names of other services: a released alias never changes its theme."""

from pathlib import Path

import pytest

from github_banners.options import allowed_values, parse_options
from github_banners.options.aliases import THEME_ALIASES

RELEASED = dict(
    line.split() for line in (Path(__file__).parent / "theme-aliases.txt").read_text().splitlines()
)


@pytest.mark.parametrize("alias", RELEASED)
def test_theme_alias_released_keeps_its_theme(alias: str) -> None:
    assert parse_options({"type": alias}).theme == RELEASED[alias]


def test_theme_aliases_are_all_in_the_golden_file() -> None:
    assert set(THEME_ALIASES) == {alias.replace("-", "") for alias in RELEASED}


def test_theme_aliases_are_no_names_of_themes() -> None:
    own = {name.replace("-", "") for name in allowed_values("type")}
    assert not own & set(THEME_ALIASES)
    assert set(THEME_ALIASES.values()) <= set(allowed_values("type"))
