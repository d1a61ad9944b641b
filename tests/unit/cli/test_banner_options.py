"""Error messages and parsing of banner options on the command line."""

import pytest

from github_banners.cli.banner_options import (
    format_github_error,
    format_input_error,
    to_raw_options,
)
from github_banners.errors import (
    ContributionsHidden,
    InvalidInput,
    InvalidOption,
    InvalidType,
    NoContributions,
    NotFound,
    TokenRequired,
    Unavailable,
    UnknownRepository,
    UnknownUser,
)
from github_banners.options import OPTIONS, allowed_values, parse_options
from github_banners.settings import Settings, Token


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
            "--type can't be 'drak': it takes auto, default, dark or one of 68 more listed in docs/http-api.md; did you mean dark?",
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


@pytest.mark.parametrize(
    ("raw_options", "message"),
    [
        (
            {"show": "stars,forks,issues,reviews"},
            "--show can't be 'stars,forks,issues,reviews': it takes at most 3 names in the layout classic; did you mean stars,forks,issues?",
        ),
        ({"layout": "repository"}, "--repo can't be '': it takes a repository's name."),
    ],
)
def test_format_input_error_option_invalid_in_layout(
    raw_options: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidOption) as caught:
        parse_options(raw_options)
    assert format_input_error(caught.value) == message


@pytest.mark.parametrize("name", ["type", "theme"])
def test_format_input_error_names_the_given_alias(name: str) -> None:
    with pytest.raises(InvalidType) as caught:
        parse_options({name: "drak"})
    assert format_input_error(caught.value).startswith(f"--{name} can't be 'drak': ")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UnknownUser("ada"), "GitHub has no user or organisation called ada."),
        (UnknownRepository("linus"), "ada has no public repository called linus."),
        (
            UnknownRepository("linus", "linux"),
            "ada has no public repository called linus. Did you mean linux?",
        ),
        (
            ContributionsHidden("ada"),
            "The profile of ada is private: GitHub shows no contributions.",
        ),
        (
            NoContributions("ada"),
            "ada is an organisation, and organisations have no contributions.",
        ),
        (
            TokenRequired(),
            "GitHub gives these numbers only to those who have a token: set GITHUB_TOKENS.",
        ),
        (
            Unavailable("bad response to ghp_secret"),
            "GitHub at https://api.github.com did not answer: bad response to ***",
        ),
    ],
)
def test_format_github_error_names_what_is_missing(
    error: NotFound | Unavailable, message: str
) -> None:
    settings = Settings(github_tokens=(Token("ghp_secret"),))
    assert format_github_error(error, "ada", settings) == message


def test_to_raw_options_joins_repeated_options() -> None:
    arguments = {
        "hide": ["stars", "forks"],
        "show": ["issues", "followers,stars"],
        "hide_langs": [],
        "title": "",
        "type": None,
        "radius": "3",
    }
    assert to_raw_options(arguments) == {
        "hide": "stars,forks",
        "show": "issues,followers,stars",
        "title": "",
        "radius": "3",
    }
