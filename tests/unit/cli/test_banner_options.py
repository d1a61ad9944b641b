"""A wrong wish, in one sentence."""

import pytest

from github_banners.cli.banner_options import format_input_error, to_raw_options
from github_banners.errors import InvalidInput, InvalidOption, InvalidType
from github_banners.options import OPTIONS, allowed_values, parse_options


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            InvalidOption("number_format", "shrt", ("short", "long")),
            "--number-format can't be 'shrt': it takes short or long; did you mean short?",
        ),
        (
            InvalidOption("radius", "0 to 21", ("0 to 20",)),
            "--radius can't be '0 to 21': it takes 0 to 20.",
        ),
        (
            InvalidOption("border", "sideways", ("true", "false")),
            "--border can't be 'sideways': it takes true or false.",
        ),
        (
            InvalidType("type", "drak", allowed_values("type")),
            "--type can't be 'drak': it takes auto, default, dark or one of 68 more listed in README; did you mean dark?",
        ),
        (InvalidOption("USER", "", ("a login",)), "USER can't be '': it takes a login."),
    ],
)
def test_what_it_takes_and_what_was_meant(error: InvalidInput, sentence: str) -> None:
    assert format_input_error(error) == sentence


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - {"title", "hide_langs"}))
def test_no_wish_is_refused_without_saying_what_it_may_be(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_options({name: "\x1b[31m?"})
    said = format_input_error(caught.value)
    assert "\x1b" not in said
    allowed = allowed_values(name)
    assert len(said) < 200
    assert all(one in said for one in (allowed if len(allowed) < 20 else allowed[:3]))


def test_what_may_be_repeated_becomes_one_list() -> None:
    given = {"hide": ["stars", "forks"], "hide_langs": [], "title": "", "type": None, "radius": "3"}
    assert to_raw_options(given) == {"hide": "stars,forks", "title": "", "radius": "3"}
