"""Valid and invalid paths of banners."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.errors import InvalidOption
from github_banners.storage.banner_path import file_name, parse_path, url_path


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("torvalds-dark", "torvalds-dark"),
        ("WyCats-Dark", "wycats-dark"),
        ("0_o-default-abcd2345", "0_o-default-abcd2345"),
        ("x" * 128, "x" * 128),
        ("default", "default"),
        ("-A--Dark", "-a--dark"),
        ("_a-dark", "_a-dark"),
    ],
)
def test_parse_path_valid_path_is_lowered(raw: str, path: str) -> None:
    assert parse_path(raw) == path


INVALID_PATHS = [
    "",
    ".",
    "..",
    "../etc/passwd",
    "a/../b",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "..\\a",
    "C:a",
    "%2e%2e%2fa",
    "a%2fb",
    "a\0",
    "a\n",
    " a",
    "a b",
    ".hidden",
    ".locks",
    "a.svg",
    "x" * 129,
    "x" * 300,
    "\u212a",  # the Kelvin sign, k in lower case
    "a\uff0fb",  # a full-width slash
    "\u2024\u2024",  # leaders that fold to dots
    "\u0131",
    "\u0661",
    "\ud800",
]


@pytest.mark.parametrize("raw", INVALID_PATHS, ids=ascii)
def test_parse_path_invalid_path_is_refused(raw: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        parse_path(raw)
    assert (caught.value.field, caught.value.status) == ("url_path", 400)


@given(text=st.text(max_size=140))
def test_parse_path_any_text_is_plain_or_refused(text: str) -> None:
    try:
        path = parse_path(text)
    except InvalidOption:
        return
    assert path == text.lower()
    assert set(path) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")
    assert 0 < len(path) <= 128


def test_file_name_and_url_path_follow_from_the_path() -> None:
    assert file_name("torvalds-dark") == "torvalds-dark.svg"
    assert url_path("torvalds-dark") == "/banners/torvalds-dark"
