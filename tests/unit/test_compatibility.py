"""URLs of other services become previews, and docs/moving.md says what becomes of each parameter."""

import re
from collections import Counter
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.options import (
    CARDS,
    CompatibleCard,
    Effect,
    Parameter,
    parse_options,
    parse_query,
    translate_url,
)
from github_banners.options.css_colours import CSS_COLOURS
from tests.unit.compatible_urls import EXAMPLES, Example, preview_for, url_for

DOC = (Path(__file__).parents[2] / "docs/moving.md").read_text(encoding="utf-8")
NAMES = {"user": "ada", "repo": "engine"}

# A valid value that differs from the default, for parameters of which `1` is none.
SAMPLES = {
    "theme": "dark",
    "locale": "de",
    "hide": "stars,html",
    "show": "reviews",
    "layout": "pie",
    "border_radius": "3",
    "count_weight": "2",
    "size_weight": "0.5",
    "custom_title": "T",
    "number_format": "long",
    "type": "png",
    **dict.fromkeys(
        ("title_color", "text_color", "icon_color", "border_color", "bg_color", "ring_color"), "123"
    ),
    **dict.fromkeys(("background", "border", "stroke", "ring", "fire", "currStreakNum"), "123"),
    **dict.fromkeys(("sideNums", "currStreakLabel", "sideLabels", "dates"), "123"),
}
PARAMETERS = [(card, parameter) for card in CARDS for parameter in card.parameters]


def options_for(card: CompatibleCard, **parameters: str) -> dict[str, str]:
    """Return the query of the preview for a card with parameters; required ones are added."""
    required = {"user": "ada"} if card.path == "/" else {"username": "ada", "repo": "engine"}
    # `count_weight` counts only if it is larger than `size_weight`, whose default is 1.
    needed = {"count_weight": "0.7"} if "size_weight" in parameters else {}
    query = translate_url(card.path, urlencode({**required, **needed, **parameters}))
    assert query is not None
    return dict(parse_query(query))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.url)
def test_translate_url_example_becomes_preview(example: Example) -> None:
    path, _, query = url_for(example, **NAMES).partition("?")
    translated = translate_url(path, query)
    assert translated is not None
    expected = preview_for(example, **NAMES).partition("?")[2]
    assert parse_query(translated) == parse_query(expected)
    parse_options(parse_query(translated))


@pytest.mark.parametrize(
    ("card", "parameter"), PARAMETERS, ids=lambda value: getattr(value, "name", "")
)
def test_parameter_changes_only_its_options(card: CompatibleCard, parameter: Parameter) -> None:
    value = SAMPLES.get(parameter.name, "1")
    if parameter.name in {"username", "user", "repo"} and parameter.options:
        value = "other"
    before, after = options_for(card), options_for(card, **{parameter.name: value})
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == set(parameter.options)
    assert bool(changed) is (parameter.effect is not Effect.IGNORED)


def read_table(path: str) -> list[list[str]]:
    """Return the rows of the table in the section of a path, as cells without backticks."""
    section = re.search(
        rf"^## \S+: `{re.escape(path)}`$(.*?)(?=^## |\Z)", DOC, re.MULTILINE | re.DOTALL
    )
    assert section is not None
    lines = re.findall(r"^\| `.*$", section[1], re.MULTILINE)
    return [[cell.strip().replace("`", "") for cell in line.split("|")[1:-1]] for line in lines]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.path)
def test_document_lists_every_parameter(card: CompatibleCard) -> None:
    assert [row[:3] for row in read_table(card.path)] == [
        [parameter.name, ", ".join(parameter.options), parameter.effect.value]
        for parameter in card.parameters
    ]


def test_document_counts_effects_of_every_card() -> None:
    counts = [Counter(parameter.effect for parameter in card.parameters) for card in CARDS]
    for card, count in zip(CARDS, counts, strict=True):
        numbers = " | ".join(str(count[effect]) for effect in Effect)
        assert f"| {card.service} | `{card.path}` | {numbers} |" in DOC


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/", ""),
        ("/", "username=ada"),
        ("/", "theme=user"),
        ("/", "users=ada"),
        ("/api/streak", "user=ada"),
        ("/API", "username=ada"),
        ("/banners/preview", "username=ada"),
        ("/", "user=ada&" + "a=1&" * 100),
    ],
)
def test_translate_url_own_url_is_left(path: str, query: str) -> None:
    assert translate_url(path, query) is None


def test_translate_url_too_many_parameters_are_left_to_the_preview() -> None:
    query = "username=ada&" + "a=1&" * 100
    assert translate_url("/api", query) == query


@pytest.mark.parametrize(
    ("path", "query", "missing"),
    [("/api", "", "username"), ("/", "user=", "username"), ("/api/pin", "username=ada", "repo")],
)
def test_translate_url_missing_name_is_left_to_the_preview(
    path: str, query: str, missing: str
) -> None:
    translated = translate_url(path, query)
    assert translated is not None
    assert missing not in parse_query(translated)


def test_translate_url_invalid_names_are_left_to_the_preview() -> None:
    assert translate_url("/api/pin", "username=a%20b&repo=a%20b") == (
        "username=a+b&layout=repository&repo=a+b"
    )


@pytest.mark.parametrize("name", ["gist", "wakatime"])
def test_translate_url_card_not_served_keeps_theme_only(name: str) -> None:
    (card,) = (card for card in CARDS if card.path == f"/api/{name}")
    assert not card.is_served
    options = options_for(card, username="@ada", theme="dark", layout="compact")
    assert options == {"type": "dark"}


def test_stats_all_hidden_hides_default_numbers() -> None:
    query = translate_url("/api", "username=ada&hide=stars,commits,prs,issues,contribs")
    assert parse_query(query or "") == {
        "username": "ada",
        "layout": "card",
        "hide": "forks,repositories,stars",
    }


@pytest.mark.parametrize(
    ("parameters", "option", "expected"),
    [
        ({"border_radius": "4.5"}, "radius", "5"),
        ({"border_radius": "248"}, "radius", "20"),
        ({"border_radius": "x"}, "radius", None),
        ({"langs_count": "2.5"}, "langs_count", None),
        ({"hide_border": "TRUE"}, "border", "false"),
        ({"hide_border": "1"}, "border", "false"),
        ({"hide_border": "yes"}, "border", None),
        ({"custom_title": "x" * 65}, "title", "x" * 64),
        ({"title_color": "#ABC"}, "title_color", "aabbcc"),
        ({"title_color": "RebeccaPurple"}, "title_color", "663399"),
        ({"bg_color": "0,000,fffe"}, "bg_color", "808080f6"),
        ({"bg_color": "0,000"}, "bg_color", None),
        ({"bg_color": "0,red,blue"}, "bg_color", None),
        ({"bg_color": "0" + ",abc" * 100}, "bg_color", None),
        ({"count_weight": "x", "size_weight": ""}, "count_by", "bytes"),
    ],
)
def test_translate_url_value_is_converted(
    parameters: dict[str, str], option: str, expected: str | None
) -> None:
    (card,) = (card for card in CARDS if card.path == "/api/top-langs")
    assert options_for(card, **parameters).get(option) == expected


def test_translate_url_first_of_several_parameters_counts() -> None:
    (card,) = (card for card in CARDS if card.path == "/")
    assert options_for(card, ring="111", fire="222")["accent_color"] == "222222"
    assert options_for(card, ring="111", fire="no")["accent_color"] == "111111"


@given(
    st.sampled_from(CARDS),
    st.dictionaries(
        st.sampled_from(sorted({parameter.name for _, parameter in PARAMETERS})),
        st.text(max_size=20) | st.sampled_from(["true", "1", "red", "30,f00,00f", "99999999"]),
    ),
)
def test_translate_url_any_values_give_a_valid_preview(
    card: CompatibleCard, parameters: dict[str, str]
) -> None:
    names = {"username": "ada", "repo": "engine", "user": "ada"}
    query = translate_url(card.path, urlencode({**parameters, **names}))
    parse_options(parse_query(query or ""))


def test_css_colours_are_hex_digits() -> None:
    assert len(CSS_COLOURS) == 149
    assert all(
        re.fullmatch("[0-9a-f]{6}", digits)
        for name, digits in CSS_COLOURS.items()
        if name != "transparent"
    )


@pytest.mark.parametrize(
    ("path", "parameter", "option"),
    [
        ("/api", "exclude_repo", "exclude_repos"),
        ("/api/top-langs", "exclude_repo", "exclude_repos"),
        ("/api/top-langs", "hide", "hide_langs"),
    ],
)
def test_translate_url_long_list_is_cut(path: str, parameter: str, option: str) -> None:
    names = [f"n{number:02}" for number in range(60)]
    query = translate_url(path, f"username=ada&{parameter}={','.join(names)}")
    assert query is not None
    assert getattr(parse_options(parse_query(query)), option) == tuple(names[:50])
