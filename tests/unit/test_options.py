"""Banner options: every spelling of the same options is parsed alike."""

import base64
import hashlib
import re
import time
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Meta

from github_banners.errors import InvalidInput, InvalidOption, InvalidType
from github_banners.options import (
    MAX_SHOWN_NUMBERS,
    OPTIONS,
    BannerOptions,
    ChartType,
    CountBy,
    HideableField,
    Inclusion,
    Layout,
    Locale,
    ShownNumber,
    Theme,
    allowed_values,
    candidate_banner_names,
    find_misspelt_options,
    parse_banner_name,
    parse_login,
    parse_options,
    parse_options_leniently,
    parse_query,
    parsing,
    to_canonical_json,
)
from github_banners.options.schema import Colour

SPELLED_DEFAULTS = {
    "type": "default",
    "layout": "classic",
    "shape": "bar",
    "count_by": "repositories",
    "show": "stars,forks,repositories",
    "repo": "",
    "hide": "",
    "hide_langs": "",
    "exclude_repos": "",
    "include": "archived",
    "title": "",
    "locale": "en",
    "number_format": "short",
    "border": "true",
    "animate": "true",
}
# Pairs of names with the same palettes.
SAME_TYPES = [
    ("auto", "auto-dark"),
    ("auto", "auto-default"),
    ("auto-nord", "auto-nord-light"),
    ("auto-ink", "auto-paper"),
    ("auto-catppuccin-mocha", "auto-catppuccin-latte"),
]
LATTE = [f"catppuccin-{name}" for name in ("latte", "mocha", "frappe", "macchiato")]
OTHER_TYPE_NAMES = {first: second for pair in SAME_TYPES for first, second in (pair, pair[::-1])}
COLOURS = [name for name in OPTIONS if name.endswith("_color")]
LANGUAGES = ["css", "c++", "jupyter notebook", "objective-c", "html", "教育"]
HEX = st.text("0123456789abcdef", min_size=6, max_size=6)
HEX |= st.text("0123456789abcdef", min_size=3, max_size=3).map(
    lambda digits: "".join(digit * 2 for digit in digits)
)


def fit_to_layout(raw_options: dict[str, Any]) -> dict[str, Any]:
    """Return the options with what their layout requires: a repository, and few enough numbers."""
    layout = raw_options.get("layout", "classic")
    fitting = {"repo": "dotfiles", **raw_options} if layout == "repository" else {**raw_options}
    limit = MAX_SHOWN_NUMBERS.get(Layout(layout))
    if "show" in fitting and limit is not None:
        fitting["show"] = ",".join([*dict.fromkeys(fitting["show"].split(","))][:limit])
    return fitting


RAW_OPTIONS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(allowed_values("type")),
        "layout": st.sampled_from(list(Layout)).map(str),
        "shape": st.sampled_from(list(ChartType)).map(str),
        "count_by": st.sampled_from(list(CountBy)).map(str),
        "show": st.lists(st.sampled_from(list(ShownNumber)).map(str)).map(",".join),
        "repo": st.sampled_from(["dotfiles", "a.b", "x_y-z", "null"]),
        "hide": st.lists(st.sampled_from(list(HideableField)).map(str)).map(",".join),
        "hide_langs": st.lists(st.sampled_from(LANGUAGES)).map(",".join),
        "exclude_repos": st.lists(st.sampled_from(["dotfiles", "a.b", "x-y"])).map(",".join),
        "include": st.sampled_from(["", "archived", "forks", "archived,forks"]),
        "langs_count": st.integers(1, 10).map(str),
        "title": st.text(st.characters(exclude_categories=["Cs"]), max_size=64),
        "number_format": st.sampled_from(["short", "long"]),
        "radius": st.integers(0, 20).map(str),
        "border": st.sampled_from(["true", "false"]),
        "animate": st.sampled_from(["true", "false"]),
        **dict.fromkeys(COLOURS, HEX | HEX.map(lambda digits: digits + "88")),
    },
).map(fit_to_layout)
ANY_TEXT = st.text(st.characters(), max_size=100)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT
# Deeper nesting is among the HOSTILE values; `st.recursive` would take most of the time.
FLAT_VALUES = (
    SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(ANY_TEXT, SCALARS, max_size=2)
)
JSON_VALUES = FLAT_VALUES | st.lists(FLAT_VALUES, max_size=3)
RAW_JSON_OPTIONS = st.dictionaries(
    st.sampled_from([*OPTIONS, "theme"]) | ANY_TEXT, JSON_VALUES, max_size=5
)


def parse_or_error(raw_options: dict[str, Any]) -> BannerOptions | InvalidInput:
    try:
        return parse_options(raw_options)
    except InvalidInput as error:
        return error


def random_case(data: st.DataObject, text: str) -> str:
    upper = data.draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text)))
    # Only where lower() restores the character: the upper case of `ß` is `SS`.
    return "".join(
        character.upper() if is_upper and character.upper().lower() == character else character
        for character, is_upper in zip(text, upper, strict=True)
    )


def respell_options(data: st.DataObject, raw_options: dict[str, Any]) -> dict[str, Any]:
    """Return the same options in another order, in other cases and with explicit defaults."""
    explicit = SPELLED_DEFAULTS | raw_options
    if data.draw(st.booleans()):
        explicit["theme"] = explicit.pop("type")
    names = data.draw(st.permutations(list(explicit)))
    return {random_case(data, name): respell_value(data, name, explicit[name]) for name in names}


def respell_value(data: st.DataObject, name: str, value: str) -> Any:
    if name == "title":
        return data.draw(st.sampled_from([value, f" {value}\n"]))
    if name in {"hide", "hide_langs", "exclude_repos", "include", "show"}:
        words = [random_case(data, word) for word in value.split(",")]
        # The order of `show` counts, but not its repetitions.
        words = [*words, words[0]]
        words = words if name == "show" else data.draw(st.permutations(words))
        return data.draw(st.sampled_from([list(words), " , ".join(words)]))
    if name in {"langs_count", "radius"}:
        return data.draw(st.sampled_from([value, f" {value} ", int(value)]))
    if name in {"border", "animate"}:
        return data.draw(st.sampled_from([value == "true", random_case(data, value)]))
    if name == "type":
        value = data.draw(st.sampled_from([value, OTHER_TYPE_NAMES.get(value, value)]))
    if name in COLOURS:
        digits = random_case(data, data.draw(st.sampled_from(colour_spellings(value))))
        return data.draw(st.sampled_from([digits, f"#{digits}", f" #{digits} "]))
    owner = data.draw(st.sampled_from(["", "Owner/"])) if name == "repo" else ""
    return f" {owner}{random_case(data, value)} "


def colour_spellings(digits: str) -> list[str]:
    """Return all spellings of a colour of 6 or 8 digits."""
    longest = digits if len(digits) == 8 else f"{digits}ff"
    is_short = longest[::2] == longest[1::2]
    spellings = [longest, longest[::2]] if is_short else [longest]
    return spellings + [
        digits[: len(digits) * 3 // 4] for digits in spellings if longest.endswith("ff")
    ]


@given(raw_options=RAW_OPTIONS, data=st.data())
def test_parse_options_other_spelling_gives_same_options_and_name(
    raw_options: dict[str, Any], data: st.DataObject
) -> None:
    other_spelling = respell_options(data, raw_options)
    options, same = parse_options(raw_options), parse_options(other_spelling)
    assert options == same
    assert to_canonical_json(options) == to_canonical_json(same)
    assert candidate_banner_names("WyCats", options, owner_id=4) == candidate_banner_names(
        "wycats", same, owner_id=4
    )


@given(raw_options=RAW_OPTIONS)
def test_canonical_json_is_parsed_back(raw_options: dict[str, Any]) -> None:
    options = parse_options(raw_options)
    written = to_canonical_json(options)
    assert parse_options(msgspec.json.decode(written)) == options
    assert msgspec.json.decode(written, type=BannerOptions) == options
    assert list(msgspec.json.decode(written)) == sorted(msgspec.json.decode(written))


@given(name=st.sampled_from(list(OPTIONS)), value=JSON_VALUES)
@example(name="hide_langs", value="İ\u0327")
@example(name="title", value="\u200d")
def test_parse_options_any_value_is_stable_or_rejected(name: str, value: object) -> None:
    outcome = parse_or_error({name: value})
    if isinstance(outcome, BannerOptions):
        assert parse_options(msgspec.json.decode(to_canonical_json(outcome))) == outcome
    else:
        assert (outcome.field, outcome.allowed) == (name, allowed_values(name))
        assert isinstance(outcome, InvalidType) == (name == "type")


@pytest.mark.parametrize(
    ("raw_options", "name"),
    [
        ({"type": "drak"}, "type"),
        ({"Theme": "drak"}, "theme"),
        ({"type": "", "theme": "drak"}, "theme"),
        ({"type": "drak", "theme": "dark"}, "type"),
    ],
)
def test_parse_options_error_has_the_name_as_written(
    raw_options: dict[str, str], name: str
) -> None:
    outcome = parse_or_error(raw_options)
    assert isinstance(outcome, InvalidType)
    assert (outcome.field, outcome.written_field) == ("type", name)


@given(raw_options=RAW_JSON_OPTIONS)
def test_parse_leniently_never_raises(raw_options: dict[str, Any]) -> None:
    lenient = parse_options_leniently(raw_options)
    strict = parse_or_error(raw_options)
    assert isinstance(lenient, BannerOptions)
    assert lenient == strict or isinstance(strict, InvalidInput)


def test_parse_leniently_invalid_values_become_defaults() -> None:
    raw_options = {"TYPE": "Dark", "layout": "none", "radius": "99", "locale": "ar"}
    assert parse_options_leniently(raw_options) == BannerOptions(theme=Theme.DARK, locale=Locale.AR)


@given(raw_options=RAW_JSON_OPTIONS)
def test_parse_options_raises_only_invalid_input(raw_options: dict[str, Any]) -> None:
    outcome = parse_or_error(raw_options)
    assert type(outcome) in {BannerOptions, InvalidType, InvalidOption}
    if not isinstance(outcome, BannerOptions):
        assert outcome.field in OPTIONS
        assert outcome.allowed == allowed_values(outcome.field)


DEEP: list[Any] = []
for _ in range(5_000):
    DEEP = [DEEP]

HOSTILE: dict[str, Any] = {
    "huge text": "x" * 1_000_000,
    "huge entries": ["x" * 100_000] * 50,
    "many entries": ["y"] * 100_000,
    "marks that are slow to normalise": "a" + "\u0323\u0301" * 500_000,
    "the same in a list": ["a" + "\u0323\u0301" * 500_000],
    "control characters": "\x00\x01",
    "half a character": "\ud800",
    "half a character in a list": ["a\udfff"],
    "thousands of digits": 10**5_000,
    "negative": -1,
    "fraction": 5.0,
    "not a number": float("nan"),
    "nothing": None,
    "object": {"a": {"b": ["c"]}},
    "nested list": [["a"]],
    "list of numbers": [1],
    "deep": DEEP,
    "null as text": "null",
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("value", HOSTILE)
def test_parse_options_hostile_value_is_handled_fast(name: str, value: str) -> None:
    started = time.process_time()
    outcome = parse_or_error({name: HOSTILE[value]})
    if isinstance(outcome, BannerOptions):
        assert len(to_canonical_json(outcome)) < 300
    else:
        assert (outcome.field, outcome.allowed) == (name, allowed_values(name))
        assert len(outcome.value) <= 64
    assert time.process_time() - started < 0.5


def test_canonical_json_of_defaults_is_empty() -> None:
    assert to_canonical_json(parse_options({})) == b"{}"
    assert to_canonical_json(parse_options(SPELLED_DEFAULTS)) == b"{}"
    assert parse_options({"utm_source": "x", "username": "y"}) == BannerOptions()


def test_parse_options_type_wins_over_theme() -> None:
    assert parse_options({"theme": "auto", "type": "dark"}).theme is Theme.DARK
    assert parse_options({"Theme": "AUTO"}).theme is Theme.AUTO


def test_parse_query_repeated_lists_are_joined_and_last_other_wins() -> None:
    query = parse_query("hide=stars&HIDE=forks&type=dark&Type=nord&hide_langs=Go&hide_langs=C++")
    assert parse_options(query) == BannerOptions(
        theme=Theme("nord"),
        hide=(HideableField.FORKS, HideableField.STARS),
        hide_langs=("c++", "go"),
    )
    with pytest.raises(ValueError, match="at most 100 options"):
        parse_query("&".join(f"a{number}=1" for number in range(101)))


AMPERSANDS = [
    "&",
    "&amp;",
    "&AMP;",
    "&#38;",
    "&#038;",
    "&#x26;",
    "&#X026;",
    "&amp;amp;",
    "&amp%3B",
    "&%2338;",
]


@pytest.mark.parametrize("ampersand", AMPERSANDS)
def test_parse_query_escaped_ampersand_separates_options(ampersand: str) -> None:
    parts = ["username=ada", "type=dark", "hide=stars", "hide=forks", "Layout=card"]
    query = parse_query(ampersand.join(parts))
    assert query == {"username": "ada", "type": "dark", "hide": "stars,forks", "layout": "card"}
    assert parse_query("amp;username=ada") == {"username": "ada"}


def test_parse_query_escaped_and_plain_option_last_wins() -> None:
    assert parse_query("type=dark&amp;type=nord") == {"type": "nord"}
    assert parse_query("amp;type=nord&type=dark") == {"type": "dark"}


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - {"include"}))
@pytest.mark.parametrize("value", ["", " ", "\t "])
def test_parse_options_empty_value_is_default(name: str, value: str) -> None:
    assert parse_options({name: value}) == BannerOptions()


def test_parse_options_empty_type_uses_theme() -> None:
    assert parse_options({"type": "", "theme": "dark"}).theme is Theme.DARK
    assert parse_options({"type": "dark", "theme": ""}).theme is Theme.DARK


@pytest.mark.parametrize(
    ("value", "locale"),
    [
        ("pt_BR", "pt-br"), ("PT-br", "pt-br"), ("pt", "pt-br"), ("pt-PT", "pt-br"),
        ("de-DE", "de"), ("de_AT.UTF-8", "de"), ("de_DE@euro", "de"), ("de-DE-1996", "de"),
        ("en-US", "en"), ("en_GB", "en"), ("zh", "zh-cn"), ("zh-Hans", "zh-cn"), ("zh_CN", "zh-cn"),
        ("zh-Hans-SG", "zh-cn"), ("zh-Hant", "zh-tw"), ("zh-Hant-HK", "zh-tw"), ("zh_HK", "zh-tw"),
        ("cn", "zh-cn"), ("kr", "ko"), ("jp", "ja"), ("iw", "he"), ("uk-UA", "uk"), ("fa-IR", "fa"),
    ],
)  # fmt: skip
def test_parse_options_locale_tag_is_matched(value: str, locale: str) -> None:
    assert parse_options({"locale": value}) == parse_options({"locale": locale})
    assert parse_options({"locale": value}).locale == locale


@pytest.mark.parametrize(
    "value", ["sv", "sv-SE", "klingon", "english", "de;en", "d", "null", "-de"]
)
def test_parse_options_unknown_locale_is_rejected(value: str) -> None:
    with pytest.raises(InvalidOption):
        parse_options({"locale": value})


@pytest.mark.parametrize(
    ("value", "theme"),
    [
        ("rose_pine", "rose-pine"), ("tokyonight", "tokyo-night"), ("one_dark", "one-dark"),
        ("OneDark", "one-dark"), ("githubdark", "dark"), ("github_dark", "dark"),
        ("Tokyo Night", "tokyo-night"), ("gruvbox_light", "gruvbox-light"), ("radical", "rose-pine"),
        ("solarized_dark", "solarized-dark"), ("catppuccin_mocha", "catppuccin-mocha"),
        ("auto_nord", "auto-nord"), ("autonordlight", "auto-nord"), ("codeSTACKr", "ember-night"),
        ("transparent", "auto"), ("vue-dark", "nord"), ("merko", "moss-night"),
    ],
)  # fmt: skip
def test_parse_options_theme_alias_equals_target(value: str, theme: str) -> None:
    options, same = parse_options({"theme": value}), parse_options({"type": theme})
    assert options == same
    assert to_canonical_json(options) == to_canonical_json(same)
    assert candidate_banner_names("a", options, owner_id=1) == candidate_banner_names(
        "a", same, owner_id=1
    )


@pytest.mark.parametrize(
    ("names", "suggestion"),
    [
        (["layuot", "typ"], {"layuot": "layout", "typ": "type"}),
        (["TITEL"], {"titel": "title"}),
        (["hide_border", "custom_title"], {"hide_border": "border", "custom_title": "title"}),
        (["user"], {"user": "username"}),
        (["username", "format", "theme", *OPTIONS], {}),
        (["utm_source", "v", "t", "cache_seconds", "ref", "", "\ud800"], {}),
        (["x" * 10_000, "layuo" + "t" * 100], {}),
        ([f"layou{number}" for number in range(1_000)], {f"layou{n}": "layout" for n in range(10)}),
    ],
    ids=lambda value: None,
)  # fmt: skip
def test_find_misspelt_options_suggests_known_names(
    names: list[str], suggestion: dict[str, str]
) -> None:
    assert find_misspelt_options(dict.fromkeys(names, "x")) == suggestion


def test_parse_options_json_list_is_parsed() -> None:
    options = parse_options({"hide_langs": '["PHP", "C++"]', "hide": "['stars','forks']"})
    assert options.hide_langs == ("c++", "php")
    assert options.hide == (HideableField.FORKS, HideableField.STARS)
    assert parse_options({"hide_langs": '"Jupyter Notebook",php'}).hide_langs == (
        "jupyter notebook",
        "php",
    )


def test_hide_langs_case_and_order_are_normalised() -> None:
    options = parse_options({"hide_langs": " Jupyter Notebook,CSS, css ,"})
    assert options.hide_langs == ("css", "jupyter notebook")
    assert to_canonical_json(options) == b'{"hide_langs":["css","jupyter notebook"]}'
    assert parse_options({"hide_langs": ["a,b"]}).hide_langs == ("a,b",)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("Engine", "engine"),
        ("ada/Engine", "engine"),
        ("https://github.com/ada/Engine", "engine"),
        ("https://github.com/ada/engine/", "engine"),
        ("https://github.com/ada/engine.git", "engine"),
        ("ada/", ""),
        ("/", ""),
    ],
)
def test_repository_may_be_named_by_owner_or_url(raw: str, name: str) -> None:
    assert parse_options({"repo": raw}).repo == (name or None)
    excluded = parse_options({"exclude_repos": f"{raw},ada/other"}).exclude_repos
    assert excluded == tuple(sorted({name, "other"} - {""}))


def test_exclude_repos_case_order_and_duplicates_are_normalised() -> None:
    options = parse_options({"Exclude_Repos": " Linux , DotFiles,linux"})
    assert options.exclude_repos == ("dotfiles", "linux")
    assert options == parse_options({"exclude_repos": ["dotfiles", "LINUX"]})
    assert to_canonical_json(options) == b'{"exclude_repos":["dotfiles","linux"]}'
    assert options.has_selection


@pytest.mark.parametrize(
    ("raw", "expected", "canonical"),
    [
        ("archived", ("archived",), b"{}"),
        (["ARCHIVED"], ("archived",), b"{}"),
        ("", (), b'{"include":[]}'),
        (" ", (), b'{"include":[]}'),
        ([], (), b'{"include":[]}'),
        ("forks", ("forks",), b'{"include":["forks"]}'),
        ("forks,,Archived,forks", ("archived", "forks"), b'{"include":["archived","forks"]}'),
    ],
)
def test_include_empty_list_differs_from_default(
    raw: object, expected: tuple[str, ...], canonical: bytes
) -> None:
    options = parse_options({"include": raw})
    assert options.include == expected
    assert to_canonical_json(options) == canonical
    assert msgspec.json.decode(canonical, type=BannerOptions) == options
    assert options.has_selection == (canonical != b"{}")


def test_include_explicit_default_is_canonical_wherever_it_comes_from() -> None:
    decoded = msgspec.json.decode(b'{"include":["archived"]}', type=BannerOptions)
    built = BannerOptions(include=(Inclusion.ARCHIVED,))
    assert to_canonical_json(decoded) == to_canonical_json(built) == b"{}"
    assert not decoded.has_selection


def test_include_in_query_is_empty_only_if_given() -> None:
    assert parse_options(parse_query("include=")).include == ()
    assert parse_options(parse_query("include")).include == ()
    assert parse_options(parse_query("include=&include=forks")).include == ("forks",)
    assert parse_options(parse_query("type=dark")).include == ("archived",)


def test_include_unknown_value_is_rejected_with_suggestion() -> None:
    with pytest.raises(InvalidOption) as caught:
        parse_options({"include": "fork"})
    assert (caught.value.value, caught.value.suggestion) == ("fork", "forks")


def test_exclude_repo_of_other_services_is_suggested() -> None:
    assert find_misspelt_options({"exclude_repo": "x"}) == {"exclude_repo": "exclude_repos"}


def test_hide_langs_too_many_are_rejected() -> None:
    parse_options({"hide_langs": [f"lang{number}" for number in range(50)]})
    for too_much in ([f"lang{number}" for number in range(51)], ["x" * 600, "y" * 600]):
        with pytest.raises(InvalidOption) as error_info:
            parse_options({"hide_langs": too_much})
        assert error_info.value.allowed == ("names separated by commas, at most 50",)


@pytest.mark.parametrize(
    ("value", "normalised"),
    [
        ("0A0", "00aa00"),
        ("#0a08", "00aa0088"),
        ("00AA00", "00aa00"),
        ("0a0f", "00aa00"),
        ("00aa00ff", "00aa00"),
        ("00aa00fe", "00aa00fe"),
    ],
)
def test_colour_is_normalised(value: str, normalised: str) -> None:
    assert parse_options({"bg_color": value}).bg_color == normalised


@pytest.mark.parametrize("value", ["#", "0a", "0a0a0", "0a0a0a0", "ggg", "##000", "٠٠٠"])
def test_colour_invalid_is_rejected(value: str) -> None:
    with pytest.raises(InvalidOption) as error_info:
        parse_options({"accent_color": value})
    assert error_info.value.allowed == ("a hex colour of 3, 4, 6 or 8 digits",)


@pytest.mark.parametrize(
    ("value", "normalised"),
    [
        ("  My work  ", "My work"),
        ("null", "null"),
        ("a\x00b\u2028c", "abc"),
        ("\ufffe\ufdd0\U0001ffff", None),
        ("e\u0301", "\u00e9"),
        ("\x00 \x00", None),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
        # Not assigned yet: a newer Unicode version must not change the banner's name.
        ("\U0001fbff", "\U0001fbff"),
    ],
)
def test_title_invisible_characters_are_removed(value: str, normalised: str | None) -> None:
    assert parse_options({"title": value}).title == normalised


def test_title_longer_than_64_characters_is_rejected() -> None:
    assert parse_options({"title": "é" * 64}).title == "é" * 64
    with pytest.raises(InvalidOption) as error_info:
        parse_options({"title": "é" * 65})
    assert error_info.value.allowed == ("at most 64 characters",)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("type", "drak", allowed_values("type")),
        ("type", "AUTO-", allowed_values("type")),
        (
            "layout",
            "null",
            ("classic", "card", "compact", "languages", "activity", "repository"),
        ),
        ("shape", "pie", ("bar", "donut")),
        ("count_by", "lines", ("repositories", "bytes")),
        ("show", "stras", allowed_values("show")),
        ("repo", "a b", ("a repository's name",)),
        ("hide", "nothing", ("forks", "languages", "login", "repositories", "stars")),
        ("langs_count", "0", ("1 to 10",)),
        ("langs_count", True, ("1 to 10",)),
        ("radius", "21", ("0 to 20",)),
        ("border", "maybe", ("true", "false")),
    ],
)
def test_parse_options_error_lists_allowed_values(
    name: str, value: object, allowed: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput) as error_info:
        parse_options({name: value})
    assert (error_info.value.field, error_info.value.allowed) == (name, allowed)
    assert error_info.value.value == str(value)
    assert error_info.value.public_message == (
        "invalid banner type" if name == "type" else "invalid inputs"
    )


def test_allowed_values_exist_for_every_option() -> None:
    assert all(all(allowed_values(name)) for name in OPTIONS)


@pytest.mark.parametrize(
    ("name", "value", "suggestion"),
    [
        ("type", "DRAK", "dark"),
        ("type", "drakula", "dracula"),
        ("type", "auto-nrd-light", "auto-nord-light"),
        ("type", "light", "default"),
        ("type", "zzz", None),
        ("layout", "clasic", "classic"),
        ("layout", "lang", "languages"),
        ("locale", "enn", "en"),
        ("hide", "repos", "repositories"),
        ("hide", "stars,frks", "forks,stars"),
        ("hide", "stars;forks", "forks,stars"),
        ("hide", "stars forks", "forks,stars"),
        ("show", "stars;commitz;stars", "stars,commits"),
        ("show", "prs", None),
        ("repo", "a repository", None),
        ("count_by", "byte", "bytes"),
        ("hide", "stars,what", None),
        ("hide", ["stars", "frks"], "forks,stars"),
        ("hide", "stars," * 30 + "frks", "forks,stars"),
        ("hide", "stars," * 30 + "what", None),
        ("hide_langs", "names separated by commas," + ",".join(map(str, range(60))), None),
        ("title", "at most 64 characters " * 4, None),
        ("bg_color", "a hex", None),
        ("radius", "21", "20"),
        ("radius", "-1", "0"),
        ("radius", 99, "20"),
        ("radius", "big", None),
        ("langs_count", "11", "10"),
        ("langs_count", "0", "1"),
        ("border", "yes", "true"),
        ("animate", "OFF", "false"),
        ("animate", "maybe", None),
        ("title", "x" * 65, None),
        ("bg_color", "blue", None),
    ],
)
def test_suggestion_is_closest_valid_value(
    name: str, value: object, suggestion: str | None
) -> None:
    with pytest.raises(InvalidInput) as error_info:
        parse_options({name: value})
    assert error_info.value.suggestion == suggestion
    if suggestion is not None:
        parse_options({name: suggestion})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("stars,frks", "frks"),
        ("stars;forks", "stars;forks"),
        ("stars forks nope", "nope"),
        (["stars", "frks"], "frks"),
    ],
)
def test_parse_options_error_names_invalid_list_member(value: object, shown: str) -> None:
    with pytest.raises(InvalidOption) as error_info:
        parse_options({"hide": value})
    assert error_info.value.value == shown


def test_parse_options_error_truncates_long_value() -> None:
    with pytest.raises(InvalidOption) as error_info:
        parse_options({"title": "w" * 65})
    assert error_info.value.value == "w" * 63 + "…"


@pytest.mark.parametrize("value", ["C++", "C%2B%2B", "c%2b%2b,", "C%2B%2B , C%2B%2B"])
def test_hide_langs_unescaped_plus_signs_are_restored(value: str) -> None:
    ((_, unquoted),) = parse_qsl(f"hide_langs={value}")
    assert parse_options({"hide_langs": unquoted}).hide_langs == ("c++",)


@pytest.mark.parametrize("value", ["5", "05", " 5 ", "0000000000005"])
def test_number_is_normalised(value: object) -> None:
    assert parse_options({"radius": value}) == BannerOptions(radius=5)


@pytest.mark.parametrize("value", ["5.0", "-5", "+5", "5x", "٥", "9" * 30])
def test_number_not_whole_is_rejected(value: str) -> None:
    with pytest.raises(InvalidOption):
        parse_options({"radius": value})


class OtherOptions(BannerOptions, frozen=True):
    opacity: Annotated[int, Meta(ge=0, le=9)] = 0
    caption: Annotated[str, Meta(max_length=9)] | None = None
    badges: tuple[str, ...] = ()
    is_wide: bool = False
    glow: Colour = "ffffff"
    chart: ChartType = ChartType.BAR


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("opacity", " 007 ", 7),
        ("caption", " Ä\u200bb\0 ", "Ä\u200bb"),
        ("badges", "b, A,b", ("a", "b")),
        ("is_wide", " TRUE", True),
        ("glow", " #FA0", "ffaa00"),
        ("chart", "Donut ", ChartType.DONUT),
    ],
)
def test_parse_options_new_option_is_normalised_by_its_type(
    monkeypatch: pytest.MonkeyPatch, name: str, raw: str, value: object
) -> None:
    monkeypatch.setattr(parsing, "BannerOptions", OtherOptions)
    monkeypatch.setitem(OPTIONS, name, OtherOptions.__annotations__[name])
    assert getattr(parse_options({name: raw}), name) == value


def test_themes_are_35_palettes_and_their_pairs() -> None:
    names = allowed_values("type")
    plain = [name for name in names if not name.startswith("auto")]
    assert len(plain) == 35
    assert sorted(names) == sorted(["auto", *plain, *(f"auto-{name}" for name in plain)])
    assert all(parse_options({"type": name}).theme.value == name for name in plain)


@pytest.mark.parametrize(("canonical", "alias"), SAME_TYPES)
def test_theme_pair_names_give_same_options(canonical: str, alias: str) -> None:
    options, same = parse_options({"type": canonical}), parse_options({"theme": alias.upper()})
    assert options.theme.value == canonical
    assert options.theme is same.theme
    assert to_canonical_json(options) == to_canonical_json(same)
    assert candidate_banner_names("x", options, owner_id=1) == candidate_banner_names(
        "x", same, owner_id=1
    )


@pytest.mark.parametrize(("canonical", "alias"), SAME_TYPES)
def test_theme_pair_names_are_folded_in_messages(canonical: str, alias: str) -> None:
    written = msgspec.json.encode({"type": alias})
    assert msgspec.json.decode(written, type=BannerOptions) == parse_options({"type": canonical})
    assert msgspec.convert(alias, Theme) is Theme(canonical)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(f"{alias}-", Theme)


@pytest.mark.parametrize("value", ["AUTO", "auto-", "auto-auto", 1, None, ["auto-nord-light"]])
def test_theme_invalid_raises(value: Any) -> None:
    with pytest.raises(ValueError, match="not a valid Theme"):
        Theme(value)


def test_theme_pairs_with_shared_light_palette_differ() -> None:
    pairs = [parse_options({"type": f"auto-{name}"}).theme.palette_names for name in LATTE]
    assert pairs == [("catppuccin-latte", name) for name in [LATTE[1], *LATTE[1:]]]
    assert parse_options({"type": "auto-dimmed"}).theme.palette_names == ("default", "dimmed")
    assert Theme.AUTO.palette_names == ("default", "dark")
    assert Theme("nord").palette_names == ("nord",)


LEGAL_LOGINS = ["a", "A-b-c", "torvalds", "0", "x" * 39, "octo_corp", "a-b_c"]
# Accounts from before 2013 have such names.
LEGAL_LOGINS += ["-a", "a-", "a--b", "-", "--", "_a", "a_", "a__b", "a-_b", "gil--", "-0-"]


@pytest.mark.parametrize("login", LEGAL_LOGINS)
def test_parse_login_valid_is_unchanged(login: str) -> None:
    assert parse_login(login) == login


@pytest.mark.parametrize(
    "login",
    [
        "x" * 40, "", ".", "..", "a.b", "a/b", "a b",
        "a\x00", "\x00", "a\n", "\na", "🦄", "ａｂｃ", "ｔorvalds", "é", "\u212a", "ſ", "٣", "a%2fb", "a,b",
    ],
    ids=ascii,
)  # fmt: skip
def test_parse_login_invalid_is_rejected(login: str) -> None:
    with pytest.raises(InvalidOption) as error_info:
        parse_login(login)
    assert (error_info.value.field, error_info.value.value) == ("username", login)
    assert error_info.value.allowed == (
        "a GitHub login: up to 39 letters, digits, hyphens and underscores",
    )


@pytest.mark.parametrize("login", [name for name in HOSTILE if name != "null as text"])
def test_parse_login_hostile_value_is_rejected(login: str) -> None:
    with pytest.raises(InvalidOption) as error_info:
        parse_login(HOSTILE[login])
    assert len(error_info.value.value) <= 64


def test_parse_login_missing_is_shown_as_empty() -> None:
    with pytest.raises(InvalidOption) as error_info:
        parse_login(None, field="login")
    assert (error_info.value.field, error_info.value.value) == ("login", "")


def test_banner_names_released_names_are_unchanged() -> None:
    options = parse_options(
        {"type": "dark", "radius": 0, "hide": "stars,forks", "hide_langs": "CSS"}
    )
    names = [
        candidate_banner_names("torvalds", BannerOptions(), owner_id=1024025),
        candidate_banner_names("WyCats", BannerOptions(theme=Theme.DARK), owner_id=4),
        candidate_banner_names("torvalds", options, owner_id=1024025),
    ]
    assert names == PINNED


def test_banner_names_end_with_digest_of_canonical_json() -> None:
    options = parse_options({"border": "false"})
    digest = base64.b32encode(hashlib.sha256(b'{"border":false}').digest()).decode().lower()[:8]
    owned = base64.b32encode(hashlib.sha256(b'{"border":false}#7').digest()).decode().lower()[:8]
    assert candidate_banner_names("A", options, owner_id=7) == (
        f"a-default-{digest}",
        f"a-default-{owned}",
    )


@given(
    login=st.from_regex(r"[A-Za-z0-9_-]{1,39}", fullmatch=True),
    raw_options=RAW_OPTIONS,
    owner_id=st.integers(1, 2**40),
)
def test_banner_names_have_one_format(
    login: str, raw_options: dict[str, Any], owner_id: int
) -> None:
    options = parse_options(raw_options)
    first, second = candidate_banner_names(login, options, owner_id=owner_id)
    prefix = f"{login}-{options.theme}".lower()
    assert parse_login(login) == login
    assert first.startswith(prefix)
    is_plain = options == BannerOptions(theme=options.theme)
    assert len(first) in ({len(prefix), len(prefix) + 9} if is_plain else {len(prefix) + 9})
    assert parse_banner_name(first) == first
    assert parse_banner_name(second) == second
    assert second.startswith(f"{prefix}-")
    assert set(second[-8:]) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert second != candidate_banner_names(login, options, owner_id=owner_id + 1)[1]


AMBIGUOUS = [
    ("torvalds-auto", "nord"),
    ("torvalds-auto", "nord-light"),  # the second name of a pair is ambiguous too
    ("Torvalds-Auto", "iris"),
    ("torvalds-solarized", "dark"),
    ("a-b-auto-one", "dark"),
    ("--auto", "paper"),
]


@pytest.mark.parametrize(("login", "theme"), AMBIGUOUS)
def test_banner_names_ambiguous_name_gets_digest(login: str, theme: str) -> None:
    first, second = candidate_banner_names(login, parse_options({"type": theme}), owner_id=7)
    prefix = f"{login}-{theme}".lower()
    assert re.fullmatch(re.escape(prefix) + "-[a-z2-7]{8}", first)
    assert first != second


@pytest.mark.parametrize(
    ("login", "theme"),
    [
        ("torvalds", "auto-nord"),
        ("torvalds-tokyo", "dark"),
        ("torvalds-auto", "auto"),  # not ambiguous: there is no type `auto-auto`
        ("torvalds-", "dark"),
        ("-auto", "nord"),  # logins are not empty
        ("a--b", "nord"),
    ],
)
def test_banner_names_unambiguous_name_stays_plain(login: str, theme: str) -> None:
    first, _ = candidate_banner_names(login, parse_options({"type": theme}), owner_id=7)
    assert first == f"{login}-{theme}"


@given(
    logins=st.tuples(*[st.from_regex("a(-auto|-one|-tokyo|-dark|-x){0,3}", fullmatch=True)] * 2),
    themes=st.tuples(*[st.sampled_from(allowed_values("type"))] * 2),
)
def test_banner_names_of_two_logins_differ(
    logins: tuple[str, str], themes: tuple[str, str]
) -> None:
    options_list = [parse_options({"type": theme}) for theme in themes]
    names = [
        candidate_banner_names(login, options, owner_id=7)[0]
        for login, options in zip(logins, options_list, strict=True)
    ]
    is_same = logins[0] == logins[1] and options_list[0] == options_list[1]
    assert (names[0] == names[1]) is is_same


PINNED = [
    ("torvalds-default", "torvalds-default-gta7xrcu"),
    ("wycats-dark", "wycats-dark-p6k6whfk"),
    ("torvalds-dark-u2ymwbs3", "torvalds-dark-vt6lqbqp"),
]


@pytest.mark.parametrize("raw", [{"a": 1}, 1.5, None])
def test_parse_options_value_of_another_type_has_no_suggestion(raw: object) -> None:
    with pytest.raises(InvalidOption) as caught:
        parse_options({"radius": raw})
    assert caught.value.suggestion is None
