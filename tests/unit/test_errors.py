"""The tree of errors: each leaf carries what the outside may know."""

import inspect

import pytest

from github_banners import errors
from github_banners.errors import (
    BannersError,
    ExplanationKind,
    FirstFetchPending,
    InvalidOption,
    InvalidSettings,
    InvalidType,
    Overloaded,
    TooManyRequests,
    UnknownBanner,
    UnknownUser,
)

TREE = [
    one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, BannersError)
]


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_stands_in_the_tree_and_has_public_words(kind: type[BannersError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.public_message
    assert kind.status in {400, 401, 404, 409, 413, 429, 500, 503}
    assert isinstance(kind.explanation_kind, ExplanationKind)


def test_a_leaf_says_what_its_docstring_says() -> None:
    assert str(Overloaded()) == "More is being asked for than can be done at once."
    assert str(Overloaded("other words")) == "other words"
    assert str(FirstFetchPending("alice")).startswith("GitHub has been asked about this user")


def test_errors_carry_what_an_answer_needs() -> None:
    wrong = InvalidOption("radius", "21", ["0 to 20"])
    assert (wrong.field, wrong.value, wrong.allowed) == ("radius", "21", ("0 to 20",))
    assert str(wrong) == "radius can't be '21'"
    assert (InvalidType("type").value, InvalidType("type").allowed) == ("", ())
    assert UnknownUser("alice").name == FirstFetchPending("alice").name == "alice"
    assert str(UnknownBanner("x")) == "UnknownBanner: 'x'"
    assert TooManyRequests(3).retry_after_seconds == 3
    assert InvalidSettings(["PORT is wrong", "HOST too"]).problems == ("PORT is wrong", "HOST too")
    assert str(InvalidSettings(["PORT is wrong", "HOST too"])) == "PORT is wrong\nHOST too"


@pytest.mark.parametrize(
    ("value", "allowed", "meant"),
    [
        ("DRAK", ("default", "dark"), "dark"),
        ("zzz", ("default", "dark"), None),
        ("20", ("0 to 20",), None),
        ("", (), None),
    ],
)
def test_a_misspelt_value_finds_its_neighbour(
    value: str, allowed: tuple[str, ...], meant: str | None
) -> None:
    assert InvalidOption("type", value, allowed).suggestion == meant
