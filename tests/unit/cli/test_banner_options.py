"""Error messages and parsing of banner options on the command line."""

import pytest

from github_banners.cli.banner_options import format_input_error, to_raw_options
from github_banners.errors import InvalidInput, InvalidOption, InvalidType
from github_banners.options import OPTIONS, allowed_values, parse_options


@pytest.mark.parametrize(
    ("error", "expected"),
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
def test_format_input_error_lists_values_and_suggestion(error: InvalidInput, expected: str) -> None:
    assert format_input_error(error) == expected


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - {"title", "hide_langs", "exclude_repos"}))
def test_format_input_error_lists_allowed_values_of_every_option(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_options({name: "\x1b[31m?"})
    message = format_input_error(caught.value)
    assert "\x1b" not in message
    allowed = allowed_values(name)
    assert len(message) < 200
    assert all(value in message for value in (allowed if len(allowed) < 20 else allowed[:3]))


def test_to_raw_options_joins_repeated_options() -> None:
    arguments = {
        "hide": ["stars", "forks"],
        "hide_langs": [],
        "title": "",
        "type": None,
        "radius": "3",
    }
    assert to_raw_options(arguments) == {"hide": "stars,forks", "title": "", "radius": "3"}
