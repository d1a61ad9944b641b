"""The themes of other services: an alias that was released never changes its meaning."""

from pathlib import Path

import pytest

from github_banners.options import allowed_values, parse_options
from github_banners.options.aliases import THEME_ALIASES

RELEASED = dict(
    line.split() for line in (Path(__file__).parent / "theme-aliases.txt").read_text().splitlines()
)


@pytest.mark.parametrize("alias", RELEASED)
def test_released_alias_keeps_its_theme(alias: str) -> None:
    assert parse_options({"type": alias}).theme == RELEASED[alias]


def test_every_alias_is_in_the_golden_file() -> None:
    assert set(THEME_ALIASES) == {alias.replace("-", "") for alias in RELEASED}


def test_no_alias_is_a_name_of_ours() -> None:
    own = {name.replace("-", "") for name in allowed_values("type")}
    assert not own & set(THEME_ALIASES)
    assert set(THEME_ALIASES.values()) <= set(allowed_values("type"))
