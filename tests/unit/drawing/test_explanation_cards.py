import re

import pytest

from github_banners.drawing import explain
from github_banners.drawing.explanation_cards import build_explanation
from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.themes import Canvas
from github_banners.errors import (
    BannersError,
    CardNotOffered,
    ContributionsHidden,
    DatabaseUnavailable,
    ExplanationKind,
    FetchPending,
    GitHubUnavailable,
    InvalidOption,
    InvalidType,
    NoContributions,
    Overloaded,
    TokenRequired,
    TooManyRequests,
    UnknownBanner,
    UnknownRepository,
    UnknownUser,
    UserNotServed,
)
from github_banners.options import (
    OPTIONS,
    BannerOptions,
    Layout,
    Locale,
    Theme,
    allowed_values,
    parse_options,
)

TYPES = ("default", "dark", "dracula")


class _OddError(BannersError):
    """An error of the kind "invalid option" that names no option."""

    explanation_kind = ExplanationKind.INVALID_OPTION


def _lines(error: BannersError, host: str = "banners.example") -> list[str]:
    card = build_explanation(error, BannerOptions(), host=host, canvas=Canvas(846, 192))
    return [line.text.text for line in card.placement.lines]


@pytest.mark.parametrize(
    ("error", "headline", "what", "advice"),
    [
        (
            UnknownUser("adalindqist"),
            "No GitHub user “adalindqist”",
            "Misspelt, or the account was renamed.",
            "Check username= in the address",
        ),
        (
            GitHubUnavailable(),
            "GitHub isn’t answering right now",
            "The numbers will be back by themselves.",
            "Next try within a minute",
        ),
        (
            TooManyRequests(40),
            "Drawn too often, taking a breath",
            "Too many new pictures from this address.",
            "Back in about 40 seconds",
        ),
        (
            InvalidType("type", "drakula", TYPES),
            "There is no type “drakula”",
            "The rest of the picture’s address is fine.",
            "Did you mean type=dracula?",
        ),
        (
            UnknownBanner("wycats-blue"),
            "No banner of this name",
            "It was never made here.",
            "Make it at banners.example",
        ),
        (
            UnknownRepository("handelbars", "handlebars"),
            "No repository “handelbars”",
            "This account has no public repository of this name.",
            "Did you mean repo=handlebars?",
        ),
        (
            UnknownRepository("handelbars"),
            "No repository “handelbars”",
            "This account has no public repository of this name.",
            "Check repo= in the address",
        ),
        (
            UnknownRepository("short", "l" * 100),
            "No repository “short”",
            "This account has no public repository of this name.",
            "Check repo= in the address",
        ),
        (
            InvalidOption("repo", "", allowed_values("repo")),
            "No repository was named",
            "The picture’s address says which one to show.",
            "Add repo= to the address",
        ),
        (
            InvalidOption("repo", "a/b", allowed_values("repo")),
            "repo can’t be “a/b”",
            "The rest of the picture’s address is fine.",
            "It can be a repository's name",
        ),
        (
            FetchPending("wycats"),
            "Counting wycats’s repositories",
            "The first look takes a moment.",
            "Ready on the next visit",
        ),
        (
            Overloaded(),
            "Busy, back in a moment",
            "Many pictures are being drawn.",
            "Next try within a minute",
        ),
        (
            DatabaseUnavailable(),
            "Numbers can’t be read right now",
            "They will be back by themselves.",
            "Next try within a minute",
        ),
        (
            ContributionsHidden("wycats"),
            "wycats’s contributions are private",
            "The GitHub profile is private.",
            "They appear once the profile is public",
        ),
        (
            NoContributions("rust-lang"),
            "Organisations have no contributions",
            "GitHub counts them for people only.",
            "Their repositories can be shown instead",
        ),
        (
            TokenRequired(),
            "This needs a GitHub token",
            "Without one, GitHub tells no contributions.",
            "The operator can set GITHUB_TOKENS",
        ),
        (
            CardNotOffered("Gist"),
            "No “Gist” cards here",
            "GitHub users and repositories are drawn here.",
            "The start page shows what there is",
        ),
        (
            UserNotServed("wycats"),
            "“wycats” is not served here",
            "This instance draws banners for chosen users only.",
            "The operator can change that",
        ),
    ],
)
def test_explanation_of_each_error_has_its_lines(error, headline, what, advice):
    assert _lines(error) == [headline, what, advice]


def test_explain_every_kind_is_drawn(parse):
    for kind in ExplanationKind:
        error = type("E", (BannersError,), {"explanation_kind": kind})()
        assert parse(explain(error)).tag.endswith("svg")


@pytest.mark.parametrize(
    ("error", "headline", "advice"),
    [
        (InvalidType("type", "qqq", TYPES), "There is no type “qqq”", "Types: banners.example"),
        (InvalidOption("layout", "x", ("a", "b")), "There is no layout “x”", "It can be a, b"),
        (InvalidOption("layout", "", ("a", "b")), "No layout was given", "It can be a, b"),
        (InvalidOption("radius", "99", ("0 to 20",)), "radius can’t be “99”", "It can be 0 to 20"),
        (InvalidOption("body", "[]"), "There is no body “[]”", "Check body="),
    ],
)
def test_explanation_of_invalid_option_lists_allowed_values(error, headline, advice):
    assert _lines(error)[::2] == [headline, advice]


@pytest.mark.parametrize("name", ["radius", "bg_color", "hide_langs", "title", "animate"])
def test_explanation_advice_on_every_option_fits(name):
    advice = _lines(InvalidOption(name, "?", allowed_values(name)))[2]
    assert not advice.endswith("…")


def test_explanation_of_impossible_login_states_the_rule():
    headline, what, advice = _lines(InvalidOption("username", "a b", ("a GitHub login",)))
    assert headline == "GitHub can’t have a user “a b”"
    assert what == "Names are letters, digits and hyphens."
    assert advice == "Check username= in the address"
    assert _lines(InvalidOption("username", " "))[0] == "Nobody’s name was given"


@pytest.mark.parametrize(
    "error", [UnknownUser("ada"), InvalidOption("username", "a b"), InvalidOption("username", "")]
)
def test_explanation_names_the_login_parameter_of_the_url(error: BannersError) -> None:
    card = build_explanation(
        error, BannerOptions(), host="", canvas=Canvas(846, 192), login_parameter="user"
    )
    assert " user= " in card.placement.lines[2].text.text


def test_explanation_of_unnamed_option_is_general():
    assert _lines(_OddError())[0] == "Something in the address is wrong"


def test_explanation_without_host_names_no_host():
    assert _lines(UnknownBanner("x"), host="")[2] == "Make it on the start page of this service"
    assert _lines(InvalidType("type", "qqq", TYPES), host="")[2] == (
        "It can be default, dark, dracula"
    )


def test_explanation_of_invalid_boolean_offers_true_and_false():
    headline, _, advice = _lines(InvalidOption("border", "maybe", ("true", "false")))
    assert (headline, advice) == ("border can’t be “maybe”", "It can be true, false")


def test_explanation_of_invalid_query_names_no_option():
    error = InvalidOption("query", "", ("at most 100 options",))
    assert _lines(error)[::2] == ["Something in the address is wrong", "Check the address"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (40, "40 seconds"),
        (90, "90 seconds"),
        (91, "2 minutes"),
        (600, "10 minutes"),
    ],
)
def test_explanation_of_rate_limit_rounds_the_wait(seconds, words):
    assert _lines(TooManyRequests(seconds))[2] == f"Back in about {words}"


def test_explanation_long_name_is_truncated_inside_sentence():
    headline = _lines(FetchPending("m" * 60))[0]
    assert headline.startswith("Counting mmm")
    assert headline.endswith("m…’s repositories")


def test_explanation_description_is_the_public_message(parse):
    root = parse(explain(UnknownUser("<b>\x00\u202e"), options=BannerOptions(theme=Theme.AUTO)))
    texts = [element.text for element in root.iter() if element.tag.endswith(("title", "desc"))]
    assert texts == ["No GitHub user “<b>”", "user doesn't exist"]


@pytest.mark.parametrize("layout", Layout)
def test_explanation_has_the_size_of_the_banner(parse, layout):
    root = parse(explain(Overloaded(), options=BannerOptions(layout=layout)))
    canvas = LAYOUTS[layout].canvas
    assert (root.get("width"), root.get("height")) == (str(canvas.width), str(canvas.height))
    assert root.get("role") == "img"


def test_explanation_only_wide_pictures_have_a_narrow_form():
    wide, card = (
        build_explanation(Overloaded(), BannerOptions(), host="", canvas=Canvas(width, 220))
        for width in (846, 420)
    )
    assert wide.placement.narrow
    assert not card.placement.narrow
    assert [line.y for line in card.placement.lines] == [122, 147, 182]
    assert (card.placement.x, card.placement.icon_x, card.placement.icon_y) == (210, 210, 62)


def test_explanation_low_picture_shows_icon_and_headline_only(parse):
    (line,) = build_explanation(
        UnknownUser("m" * 60), BannerOptions(), host="", canvas=Canvas(420, 44)
    ).placement.lines
    assert line.y == 27
    assert line.text.text.startswith("No GitHub user “mmm")
    assert line.text.text.endswith("…”")
    root = parse(explain(Overloaded(), options=BannerOptions(layout=Layout.COMPACT)))
    texts = [element for element in root.iter() if element.tag.endswith("text")]
    assert [text.text for text in texts] == ["Busy, back in a moment"]
    assert texts[0].get("x") == "46"


def test_explanation_of_one_repository_has_three_lines_and_a_small_icon(parse):
    options = BannerOptions(layout=Layout.REPOSITORY)
    root = parse(explain(UnknownRepository("handelbars", "handlebars"), options=options))
    texts = [element for element in root.iter() if element.tag.endswith("text")]
    assert [text.get("y") for text in texts] == ["72", "96", "126"]
    transforms = [element.get("transform") for element in root.iter()]
    assert "translate(210 30)scale(.65)" in transforms
    assert root[1].text == "repository doesn't exist"


ERRORS = [
    UnknownUser("sindresorhus"),
    GitHubUnavailable(),
    TooManyRequests(40),
    InvalidType("type", "drakula", TYPES),
    InvalidType("type", "qqq", TYPES),
    InvalidOption("border_color", "turquoise", allowed_values("border_color")),
    InvalidOption("radius", "99", allowed_values("radius")),
    InvalidOption("border", "maybe", allowed_values("border")),
    InvalidOption("count_by", "", allowed_values("count_by")),
    InvalidOption("bg_color", "blue", allowed_values("bg_color")),
    InvalidOption("hide_langs", "", allowed_values("hide_langs")),
    InvalidOption("title", "", allowed_values("title")),
    InvalidOption("body", "[]"),
    InvalidOption("username", "a b"),
    InvalidOption("username", ""),
    InvalidOption("repo", ""),
    InvalidOption("repo", "a/b", allowed_values("repo")),
    UnknownRepository("drakula", "dracula"),
    UnknownRepository("drakula"),
    UnknownBanner("x"),
    FetchPending("sindresorhus"),
    Overloaded(),
    DatabaseUnavailable(),
    ContributionsHidden("sindresorhus"),
    NoContributions("sindresorhus"),
    TokenRequired(),
    UserNotServed("sindresorhus"),
    CardNotOffered("WakaTime"),
    _OddError(),
]


@pytest.mark.parametrize(
    "layout", [Layout.CLASSIC, Layout.COMPACT, Layout.ACTIVITY, Layout.REPOSITORY]
)
@pytest.mark.parametrize("locale", Locale)
def test_explanation_fits_in_every_locale(locale, layout):
    canvas, options = LAYOUTS[layout].canvas, BannerOptions(layout=layout, locale=locale)
    for error in ERRORS:
        for host in ("", "banners.example"):
            explanation = build_explanation(error, options, host=host, canvas=canvas)
            for line in explanation.placement.lines:
                text = line.text.text
                assert "…" not in text, text
                assert not set("{}\x00") & set(text), text
                foreign = [name for name in ("sindresorhus", "drakula", "a--b") if name in text]
                assert text.count("\u2068") == text.count("\u2069")
                assert not foreign or ("\u2068" in text) == (locale in {"ar", "fa", "he"})


@pytest.mark.parametrize("locale", Locale)
def test_explanation_every_wait_fits(locale):
    for seconds in (1, 2, 3, 5, 11, 21, 90, *(60 * minutes for minutes in (2, 3, 5, 22, 60, 999))):
        _, _, advice = build_explanation(
            TooManyRequests(seconds), BannerOptions(locale=locale), host="", canvas=Canvas(846, 192)
        ).placement.lines
        assert "…" not in advice.text.text


@pytest.mark.parametrize("locale", Locale)
def test_explanation_suggests_every_type(locale):
    for name in allowed_values("type"):
        error = InvalidType("type", f"{name}x", (name, "another"))
        explanation = build_explanation(
            error, BannerOptions(locale=locale), host="", canvas=Canvas(846, 192)
        )
        assert f"type={name}" in explanation.placement.lines[2].text.text


@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize("layout", [Layout.CLASSIC, Layout.COMPACT])
def test_explanation_short_value_is_not_truncated(locale, layout):
    canvas = LAYOUTS[layout].canvas
    for option in OPTIONS:
        error = InvalidOption(option, "loong", allowed_values(option))
        explanation = build_explanation(error, BannerOptions(locale=locale), host="", canvas=canvas)
        assert "loong" in explanation.placement.lines[0].text.text


@pytest.mark.parametrize("locale", Locale)
def test_explanation_truncates_foreign_text_only(locale):
    def texts(name: str) -> list[str]:
        errors = [
            UnknownUser(name),
            FetchPending(name),
            ContributionsHidden(name),
            InvalidOption("layout", name, ("a", "b")),
        ]
        errors += [UnknownBanner("x"), InvalidType("type", "qqq", TYPES)]
        lines = [
            line.text.text
            for error in errors
            for line in build_explanation(
                error, BannerOptions(locale=locale), host=name, canvas=Canvas(846, 192)
            ).placement.lines
        ]
        assert all(line.count("\u2068") == line.count("\u2069") for line in lines)
        return [re.sub("m+…?", "M", line) for line in lines]

    assert texts("m" * 60) == texts("m")


@pytest.mark.parametrize("locale", Locale)
def test_explanation_suggestion_is_never_truncated(locale):
    for value in ("stars,frks", "star,fork,repositorie,language,logi"):
        with pytest.raises(InvalidOption) as raised:
            parse_options({"hide": value})
        explanation = build_explanation(
            raised.value, BannerOptions(locale=locale), host="", canvas=Canvas(846, 192)
        )
        advice = explanation.placement.lines[2].text.text
        assert f"hide={raised.value.suggestion}" in advice or "hide=" not in advice


@pytest.mark.parametrize("locale", Locale)
def test_explanation_long_list_ends_between_two_values(locale):
    explanation = build_explanation(
        InvalidType("type", "qqq", allowed_values("type")),
        BannerOptions(locale=locale),
        host="",
        canvas=Canvas(846, 192),
    )
    advice = explanation.placement.lines[2].text.text
    assert "auto, default, dark" in advice
    assert ", …" in advice
    assert advice.count("\u2068") == advice.count("\u2069")


@pytest.mark.parametrize("locale", sorted(set(Locale) - {Locale.EN}))
def test_explanation_is_translated_in_every_locale(locale):
    english, other = (
        [
            line.text.text
            for error in ERRORS
            for line in build_explanation(
                error, BannerOptions(locale=code), host="banners.example", canvas=Canvas(846, 192)
            ).placement.lines
        ]
        for code in (Locale.EN, locale)
    )
    assert set(english) & set(other) <= {"Types: banners.example"}


def test_explain_right_to_left_locale_is_mirrored(parse):
    error = UnknownUser("octocat")
    row = parse(explain(error, options=BannerOptions(layout=Layout.COMPACT, locale=Locale.HE)))
    icon, lines = (element for element in row if element.tag.endswith("}g"))
    assert row.get("text-anchor") == "end"
    assert str(icon.get("transform")).startswith("translate(396 22)")
    assert lines[0].get("x") == "374"
    assert str(lines[0].text).startswith("\u2067")
    wide = parse(explain(error, options=BannerOptions(locale=Locale.HE)))
    _, lines = (element for element in wide if element.tag.endswith("}g"))
    assert (lines.get("text-anchor"), lines[0].get("x")) == ("middle", "423")
