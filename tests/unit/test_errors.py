"""The exception tree and what its classes carry."""

import inspect

import pytest

from github_banners import errors
from github_banners.errors import (
    BannersError,
    ExplanationKind,
    FetchPending,
    InvalidOption,
    InvalidSettings,
    InvalidType,
    Overloaded,
    TooManyRequests,
    UnknownBanner,
    UnknownRepository,
    UnknownUser,
)

TREE = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, BannersError)
]


@pytest.mark.parametrize("error_class", TREE, ids=lambda error_class: error_class.__name__)
def test_error_class_is_in_docstring_tree_and_has_public_message(
    error_class: type[BannersError],
) -> None:
    assert error_class.__name__ in (errors.__doc__ or "")
    assert error_class.public_message
    assert error_class.status in {400, 401, 403, 404, 409, 413, 429, 500, 503}
    assert isinstance(error_class.explanation_kind, ExplanationKind)


def test_error_default_message_is_docstring() -> None:
    assert str(Overloaded()) == "Too much work is queued."
    assert str(Overloaded("other words")) == "other words"
    assert str(FetchPending("alice")).startswith("A fetch of this user")


def test_errors_hold_attributes_for_responses() -> None:
    error = InvalidOption("radius", "21", ["0 to 20"])
    assert (error.field, error.value, error.allowed) == ("radius", "21", ("0 to 20",))
    assert str(error) == "radius can't be '21'"
    assert (InvalidType("type").value, InvalidType("type").allowed) == ("", ())
    assert (UnknownRepository("linus").name, UnknownRepository("linus").suggestion) == (
        "linus",
        None,
    )
    assert UnknownUser("alice").name == FetchPending("alice").name == "alice"
    assert str(UnknownBanner("x")) == "UnknownBanner: 'x'"
    assert TooManyRequests(3).retry_after_seconds == 3
    assert InvalidSettings(["PORT is error", "HOST too"]).problems == ("PORT is error", "HOST too")
    assert str(InvalidSettings(["PORT is error", "HOST too"])) == "PORT is error\nHOST too"


@pytest.mark.parametrize(
    ("value", "allowed", "suggestion"),
    [
        ("DRAK", ("default", "dark"), "dark"),
        ("zzz", ("default", "dark"), None),
        ("20", ("0 to 20",), None),
        ("", (), None),
    ],
)
def test_suggestion_misspelt_value_gives_closest(
    value: str, allowed: tuple[str, ...], suggestion: str | None
) -> None:
    assert InvalidOption("type", value, allowed).suggestion == suggestion
