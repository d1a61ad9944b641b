"""Options that belong to some layouts: `show`, `repo`, what others ignore, and the data they need."""

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.errors import InvalidOption
from github_banners.options import (
    MAX_SHOWN_NUMBERS,
    OPTIONS,
    BannerOptions,
    CountBy,
    DataKind,
    Inclusion,
    Layout,
    ShownNumber,
    Theme,
    allowed_values,
    banner_needs,
    candidate_banner_names,
    data_needs,
    drop_redundant_options,
    ignored_options,
    options_digest,
    parse_need,
    parse_options,
    parse_options_leniently,
    parse_query,
    shows_only_totals,
    to_canonical_json,
)

SIX = "commits,pull_requests,issues,reviews,contributions,followers"
DEFAULT_SHOW = ("stars", "forks", "repositories")
REPOSITORY = {"layout": "repository", "repo": "dotfiles"}


def canonical(raw_options: dict[str, Any]) -> bytes:
    return to_canonical_json(drop_redundant_options(parse_options(raw_options)))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("followers,stars", ("followers", "stars")),
        ("stars,followers", ("stars", "followers")),
        (" Followers , STARS,followers,", ("followers", "stars")),
        (["commits", "stars", "commits"], ("commits", "stars")),
        ('["issues", "stars"]', ("issues", "stars")),
        ("repositories,forks,stars", ("repositories", "forks", "stars")),
        ("stars,forks,repositories", DEFAULT_SHOW),
        ("", DEFAULT_SHOW),
        (" ", DEFAULT_SHOW),
    ],
)
def test_show_order_is_kept_and_duplicates_are_dropped(raw: object, shown: tuple[str, ...]) -> None:
    options = parse_options({"show": raw})
    assert options.show == shown
    expected = {} if shown == DEFAULT_SHOW else {"show": list(shown)}
    assert msgspec.json.decode(to_canonical_json(options)) == expected


def test_show_repeated_in_query_is_joined_in_order() -> None:
    query = parse_query("show=issues&type=dark&show=stars")
    assert parse_options(query).show == ("issues", "stars")
    # A form without JavaScript sends an empty value before the checked ones.
    assert parse_options(parse_query("show=&show=reviews")).show == ("reviews",)
    assert parse_options(parse_query("show=")).show == DEFAULT_SHOW


@pytest.mark.parametrize("raw", [[], ",", [""]])
def test_show_list_without_members_is_default(raw: object) -> None:
    assert parse_options({"show": raw}) == BannerOptions()


@pytest.mark.parametrize(
    ("layout", "show", "suggestion"),
    [
        ("classic", SIX, "commits,pull_requests,issues"),
        ("compact", "followers,stars,forks,issues", "followers,stars,forks"),
        ("card", f"{SIX},stars", SIX),
        (None, "stars,forks,repositories,followers", "stars,forks,repositories"),
    ],
)
def test_show_more_numbers_than_layout_has_is_rejected_with_the_first(
    layout: str | None, show: str, suggestion: str
) -> None:
    raw_options = {"show": show} | ({"layout": layout} if layout else {})
    with pytest.raises(InvalidOption) as caught:
        parse_options(raw_options)
    limit = len(suggestion.split(","))
    assert (caught.value.field, caught.value.value) == ("show", show)
    assert caught.value.allowed == (f"at most {limit} names in the layout {layout or 'classic'}",)
    assert caught.value.suggestion == suggestion
    assert parse_options(raw_options | {"show": suggestion}).show == tuple(suggestion.split(","))


@pytest.mark.parametrize("layout", sorted({*Layout} - {*MAX_SHOWN_NUMBERS} - {Layout.REPOSITORY}))
def test_show_in_layout_without_numbers_has_no_limit_and_no_effect(layout: Layout) -> None:
    raw_options = {"layout": layout.value, "show": f"{SIX},stars"}
    assert len(parse_options(raw_options).show) == 7
    assert canonical(raw_options) == canonical({"layout": layout.value})


def test_show_unknown_name_is_rejected_with_allowed_names() -> None:
    with pytest.raises(InvalidOption) as caught:
        parse_options({"show": "stars,commitz"})
    assert (caught.value.value, caught.value.suggestion) == ("commitz", "stars,commits")
    assert caught.value.allowed == tuple(ShownNumber)


@pytest.mark.parametrize(
    ("raw_options", "shown"),
    [
        ({"show": SIX}, ("commits", "pull_requests", "issues")),
        ({"show": SIX, "layout": "card"}, tuple(SIX.split(","))),
        ({"show": SIX, "layout": "nonsense"}, ("commits", "pull_requests", "issues")),
        ({"show": "stars,nonsense"}, DEFAULT_SHOW),
        ({"show": SIX, "layout": "languages"}, tuple(SIX.split(","))),
    ],
)
def test_parse_leniently_too_many_numbers_are_cut(
    raw_options: dict[str, str], shown: tuple[str, ...]
) -> None:
    assert parse_options_leniently(raw_options).show == shown


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("dotfiles", "dotfiles"),
        (" DotFiles ", "dotfiles"),
        ("torvalds/Linux", "linux"),
        ("https://github.com/torvalds/linux", "linux"),
        (".github", ".github"),
        ("a_b-c.d", "a_b-c.d"),
        ("x" * 100, "x" * 100),
        ("null", "null"),
        ("...", "..."),
    ],
)
def test_repo_is_lowered_and_its_owner_dropped(raw: str, name: str) -> None:
    assert parse_options({"repo": raw}).repo == name
    assert canonical({"layout": "repository", "repo": raw}) == (
        b'{"layout":"repository","repo":"%b"}' % name.encode()
    )


@pytest.mark.parametrize(
    "raw", ["a b", "a,b", "ü", "x" * 101, ".", "..", "a/..", "a?b", "a%2fb", 5, True, ["a"]]
)
def test_repo_with_other_characters_is_rejected(raw: object) -> None:
    with pytest.raises(InvalidOption) as caught:
        parse_options({"repo": raw})
    assert (caught.value.field, caught.value.allowed) == ("repo", ("a repository's name",))
    assert caught.value.suggestion is None


@pytest.mark.parametrize("extra", [{}, {"repo": ""}, {"repo": " "}, {"repo": "torvalds/"}])
def test_repo_missing_in_layout_repository_is_rejected(extra: dict[str, str]) -> None:
    with pytest.raises(InvalidOption) as caught:
        parse_options({"layout": "repository", **extra})
    assert (caught.value.field, caught.value.value) == ("repo", "")
    assert caught.value.allowed == ("a repository's name",)
    assert parse_options_leniently({"layout": "repository", **extra}) == BannerOptions(
        layout=Layout.REPOSITORY
    )


# As they were before the options of this module existed: (as parsed, without redundant options,
# digest, names).
RELEASED: list[tuple[dict[str, Any], bytes, bytes, str, tuple[str, str]]] = [
    (
        {},
        b"{}",
        b"{}",
        "44136fa355b3678a",
        ("torvalds-default", "torvalds-default-gta7xrcu"),
    ),
    (
        {"type": "auto-nord", "layout": "card", "radius": "12", "langs_count": "5"},
        b'{"langs_count":5,"layout":"card","radius":12,"type":"auto-nord"}',
        b'{"layout":"card","type":"auto-nord"}',
        "9029a349c23ab505",
        ("torvalds-auto-nord-sau2gsoc", "torvalds-auto-nord-olv36xa3"),
    ),
    (
        {"layout": "compact", "hide": "stars,forks", "locale": "pt_BR", "number_format": "long"},
        b'{"hide":["forks","stars"],"layout":"compact","locale":"pt-br","number_format":"long"}',
        b'{"hide":["forks","stars"],"layout":"compact","locale":"pt-br","number_format":"long"}',
        "1d0c0cccd516a976",
        ("torvalds-default-dugaztgv", "torvalds-default-z2u44wkz"),
    ),
    (
        {"layout": "languages", "shape": "donut", "langs_count": "5", "hide_langs": "CSS,C++"},
        b'{"hide_langs":["c++","css"],"langs_count":5,"layout":"languages","shape":"donut"}',
        b'{"hide_langs":["c++","css"],"layout":"languages","shape":"donut"}',
        "8df9ca9102269402",
        ("torvalds-default-rx44veic", "torvalds-default-nyuiyrtb"),
    ),
    (
        {"exclude_repos": "Dotfiles,a.b", "include": "forks", "title": "Über mich"},
        b'{"exclude_repos":["a.b","dotfiles"],"include":["forks"],"title":"\xc3\x9cber mich"}',
        b'{"exclude_repos":["a.b","dotfiles"],"include":["forks"],"title":"\xc3\x9cber mich"}',
        "118898d29a2b1dd8",
        ("torvalds-default-cgejruu2", "torvalds-default-xdsruqrg"),
    ),
    (
        {"layout": "card", "include": "", "border": "false", "bg_color": "#abc"},
        b'{"bg_color":"aabbcc","border":false,"include":[],"layout":"card"}',
        b'{"bg_color":"aabbcc","border":false,"include":[],"layout":"card"}',
        "0022a5c62f0e68ee",
        ("torvalds-default-aarklrrp", "torvalds-default-xkfyom4f"),
    ),
    (
        {"type": "dark", "radius": 0, "hide": "login", "shape": "donut", "langs_count": 3},
        b'{"hide":["login"],"langs_count":3,"radius":0,"shape":"donut","type":"dark"}',
        b'{"hide":["login"],"langs_count":3,"radius":0,"shape":"donut","type":"dark"}',
        "61eb429c2b8d4568",
        ("torvalds-dark-mhvufhbl", "torvalds-dark-kmppi72s"),
    ),
]


@pytest.mark.parametrize(("raw_options", "parsed", "stored", "digest", "names"), RELEASED)
def test_canonical_form_of_released_options_is_unchanged(
    raw_options: dict[str, Any], parsed: bytes, stored: bytes, digest: str, names: tuple[str, str]
) -> None:
    options = parse_options(raw_options)
    assert to_canonical_json(options) == parsed
    reduced = drop_redundant_options(options)
    assert to_canonical_json(reduced) == stored
    assert options_digest(reduced) == hashlib.sha256(stored).digest()
    assert options_digest(reduced).hex()[:16] == digest
    assert candidate_banner_names("torvalds", reduced, owner_id=1024025) == names


def test_show_explicit_default_is_canonical_wherever_it_comes_from() -> None:
    decoded = msgspec.json.decode(b'{"show":["stars","forks","repositories"]}', type=BannerOptions)
    built = BannerOptions(show=(ShownNumber.STARS, ShownNumber.FORKS, ShownNumber.REPOSITORIES))
    assert to_canonical_json(decoded) == to_canonical_json(built) == b"{}"
    other_order = BannerOptions(show=built.show[::-1])
    assert to_canonical_json(other_order) == b'{"show":["repositories","forks","stars"]}'


WITHOUT_LANGUAGES = {
    "shape": "donut",
    "count_by": "bytes",
    "show": "stars",
    "hide": "login",
    "hide_langs": "c",
    "exclude_repos": "a",
    "include": "forks",
    "langs_count": 3,
}
IGNORED: dict[str, dict[str, Any]] = {
    "classic": {"repo": "a"},
    "card": {"repo": "a"},
    "compact": {"repo": "a"},
    "languages": {"repo": "a", "show": "stars"},
    "activity": {"repo": "a", **WITHOUT_LANGUAGES},
    "repository": WITHOUT_LANGUAGES,
}


@pytest.mark.parametrize("layout", allowed_values("layout"))
def test_options_that_layout_ignores_are_reset(layout: str) -> None:
    required = {"layout": layout, "type": "dark"} | (
        {"repo": "x"} if layout == "repository" else {}
    )
    others = {"title": "T", "locale": "de", "radius": 3, "animate": False, "bg_color": "fff"}
    if layout not in {"activity", "repository"}:
        others |= {"hide": "login", "include": "forks", "count_by": "bytes", "exclude_repos": "a"}
    assert {*ignored_options(Layout(layout))} == {*IGNORED[layout]}
    assert canonical(required | others | IGNORED[layout]) == canonical(required | others)
    assert set(others) <= set(msgspec.json.decode(canonical(required | others)))
    for name, value in IGNORED[layout].items():
        assert canonical(required | {name: value}) == canonical(required)


def test_options_that_layout_has_are_kept() -> None:
    raw = {"layout": "card", "show": "issues,stars", "count_by": "bytes"}
    assert canonical(raw) == b'{"count_by":"bytes","layout":"card","show":["issues","stars"]}'
    assert canonical(REPOSITORY | {"title": "x"}) == (
        b'{"layout":"repository","repo":"dotfiles","title":"x"}'
    )
    assert not drop_redundant_options(
        parse_options({"layout": "activity", "exclude_repos": "a"})
    ).has_selection


@given(
    layout=st.sampled_from(Layout),
    show=st.lists(st.sampled_from(ShownNumber), unique=True, max_size=3).map(tuple),
    count_by=st.sampled_from(CountBy),
    include=st.sampled_from([(), (Inclusion.FORKS,), (Inclusion.ARCHIVED,)]),
)
def test_drop_redundant_options_twice_changes_nothing_more(
    layout: Layout,
    show: tuple[ShownNumber, ...],
    count_by: CountBy,
    include: tuple[Inclusion, ...],
) -> None:
    options = BannerOptions(
        layout=layout, show=show, count_by=count_by, include=include, repo="x", theme=Theme.DARK
    )
    once = drop_redundant_options(options)
    assert drop_redundant_options(once) == once
    assert data_needs(once) == data_needs(options)


REPOSITORIES, FOLLOWERS, SIZES, CONTRIBUTIONS = (
    DataKind.REPOSITORIES,
    DataKind.FOLLOWERS,
    DataKind.LANGUAGE_SIZES,
    DataKind.CONTRIBUTIONS,
)


@pytest.mark.parametrize(
    ("raw_options", "needs"),
    [
        ({}, {REPOSITORIES}),
        ({"layout": "card", "show": "stars,forks"}, {REPOSITORIES}),
        ({"layout": "compact", "exclude_repos": "a", "include": ""}, {REPOSITORIES}),
        ({"layout": "languages"}, {REPOSITORIES}),
        ({"layout": "languages", "show": "commits,followers"}, {REPOSITORIES}),
        ({"layout": "languages", "count_by": "bytes"}, {REPOSITORIES, SIZES}),
        ({"count_by": "bytes"}, {REPOSITORIES, SIZES}),
        ({"count_by": "bytes", "hide": "languages"}, {REPOSITORIES}),
        ({"show": "followers"}, {REPOSITORIES, FOLLOWERS}),
        *(({"show": name}, {REPOSITORIES, CONTRIBUTIONS}) for name in SIX.split(",")[:5]),
        (
            {"layout": "card", "show": SIX, "count_by": "bytes"},
            {REPOSITORIES, SIZES, CONTRIBUTIONS, FOLLOWERS},
        ),
        ({"layout": "activity"}, {CONTRIBUTIONS}),
        ({"layout": "activity", "show": "followers", "count_by": "bytes"}, {CONTRIBUTIONS}),
        (REPOSITORY, {DataKind.REPOSITORY}),
        ({**REPOSITORY, "show": "commits", "count_by": "bytes"}, {DataKind.REPOSITORY}),
    ],
)
def test_data_needs_of_options(raw_options: dict[str, str], needs: set[DataKind]) -> None:
    options = parse_options(raw_options)
    assert data_needs(options) == needs
    assert data_needs(drop_redundant_options(options)) == needs


@pytest.mark.parametrize(
    ("raw_options", "repository_id", "needs"),
    [
        ({}, None, {(REPOSITORIES, None)}),
        ({"show": "followers"}, None, {(REPOSITORIES, None), (FOLLOWERS, None)}),
        (REPOSITORY, 123, {(DataKind.REPOSITORY, 123)}),
        (REPOSITORY, None, {(DataKind.REPOSITORY, None)}),
    ],
)
def test_parse_need_reads_banner_needs(
    raw_options: dict[str, str],
    repository_id: int | None,
    needs: set[tuple[DataKind, int | None]],
) -> None:
    stored = banner_needs(parse_options(raw_options), repository_id=repository_id)
    assert sorted(stored) == [*stored]
    assert set(map(parse_need, stored)) == needs


def test_parse_need_unknown_kind_raises() -> None:
    with pytest.raises(ValueError, match="sponsors"):
        parse_need("sponsors")


@pytest.mark.parametrize(
    ("raw_options", "is_shown"),
    [
        ({}, True),
        ({"exclude_repos": "dotfiles"}, False),
        ({"show": "followers"}, False),
        ({"layout": "activity"}, False),
    ],
)
def test_shows_only_totals_of_options(raw_options: dict[str, str], is_shown: bool) -> None:
    assert shows_only_totals(parse_options(raw_options)) is is_shown


def test_ignored_options_are_options_with_their_defaults() -> None:
    defaults = BannerOptions()
    for layout in Layout:
        ignored = ignored_options(layout)
        assert {*ignored} <= {*OPTIONS}
        assert all(getattr(defaults, name) == value for name, value in ignored.items())
