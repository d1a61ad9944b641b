import gzip
import re
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from github_banners.drawing import draw
from github_banners.drawing.colours import contrast
from github_banners.drawing.layouts.repository import compute_layout
from github_banners.drawing.locales import is_right_to_left, load_translations
from github_banners.drawing.text import width
from github_banners.drawing.themes import scheme
from github_banners.errors import RenderingFailed
from github_banners.models import RepositoryDetails, Snapshot
from github_banners.options import BannerOptions, Layout, Locale, NumberFormat, Theme
from tests.snapshots import REPOSITORY, make_snapshot

DEFAULT = BannerOptions(layout=Layout.REPOSITORY)
AS_OF = date(2026, 11, 20)
LARGEST = 2**31 - 1
LONG_DESCRIPTION = "a declarative, efficient and flexible library " * 7
HOSTILE_TEXTS = [
    "z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319" * 30,
    "\u202egnp.exe\u202c \u2066left\u2069 \u200f right",
    "</text><script>alert(1)</script>\"'&",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466" * 80,
    "W" * 350,
    "国" * 350,
    "\u0e2a\u0e21\u0e0a\u0e32\u0e22" * 70,
    "\x00\x01\ud800\ufffe",
    "\u0301\u0301\u0301",
    "\U00012031" * 90,
]


def repository(**changes: object) -> Snapshot:
    """Return the numbers of an owner with a repository that differs from the usual one."""
    return make_snapshot(repository=replace(REPOSITORY, **changes))


def test_repository_shows_name_description_and_facts():
    picture = compute_layout(repository(), DEFAULT, None)
    assert picture.title == "wycats/handlebars-runtime"
    assert (picture.name.text, picture.name.size) == ("handlebars-runtime", 19)
    assert [(line.y, line.text.text) for line in picture.lines] == [
        (70, "Minimal templating on steroids: logicless"),
        (89, "templates that keep the view and the code apart"),
    ]
    assert [(fact.icon, fact.text) for fact in picture.facts] == [
        ("l", "Ruby"),
        ("s", "11.5k"),
        ("f", "1,635"),
        ("w", "MIT"),
    ]
    assert (picture.language_colour, picture.archived) == ("701516", "")
    assert picture.glow == "701516"
    assert picture.desc == (
        "Minimal templating on steroids: logicless templates that keep the view and the code apart. "
        "Language: Ruby. 11,558 stars, 1,635 forks. Licence: MIT."
    )


def test_repository_without_its_data_is_not_drawn(snapshot):
    with pytest.raises(RenderingFailed):
        compute_layout(replace(snapshot(), repository=None), DEFAULT, None)


def test_repository_missing_parts_leave_no_gap():
    bare = compute_layout(repository(description=None, language=None, licence=None), DEFAULT, None)
    assert [(fact.icon, fact.x) for fact in bare.facts] == [("s", 24), ("f", 98)]
    assert bare.lines == []
    assert bare.glow == ""
    assert bare.desc == "11,558 stars, 1,635 forks."


@pytest.mark.parametrize(
    ("description", "number"),
    [(None, 0), ("", 0), ("\u0301\u0301", 0), ("Kernel", 1), ("a b " * 99, 2)],
)
def test_repository_rows_are_centred(description, number):
    picture = compute_layout(repository(description=description), DEFAULT, None)
    assert len(picture.lines) == number
    above, below = picture.name_y - 0.72 * picture.name.size, 150 - picture.facts_y
    assert above == pytest.approx(below, abs=2)
    rows = [picture.name_y, *(line.y for line in picture.lines), picture.facts_y]
    assert all(19 <= low - high <= 37 for high, low in pairwise(rows))


def test_repository_long_description_is_cut_after_a_word():
    picture = compute_layout(repository(description=LONG_DESCRIPTION), DEFAULT, None)
    first, second = (line.text for line in picture.lines)
    assert first.size == second.size == 13
    assert second.text.endswith("…")
    shown = f"{first.text} {second.text.removesuffix('…')}"
    assert LONG_DESCRIPTION.startswith(shown)
    assert re.match(r"\W", LONG_DESCRIPTION[len(shown) :])
    assert LONG_DESCRIPTION.strip() in picture.desc


def test_repository_description_has_its_own_direction():
    hebrew = repository(description="ספרייה קטנה for Python " * 4)
    for locale in (Locale.EN, Locale.AR):
        picture = compute_layout(hebrew, replace(DEFAULT, locale=locale), None)
        texts = [line.text.text for line in picture.lines]
        assert len(texts) == 2
        assert all(text[0] == "\u2067" and text[-1] == "\u2069" for text in texts)
    latin = compute_layout(repository(), replace(DEFAULT, locale=Locale.AR), None)
    assert latin.frame.isolate == "\u2067"
    assert not any("\u2067" in line.text.text for line in latin.lines)


def test_repository_title_replaces_the_name():
    picture = compute_layout(repository(), replace(DEFAULT, title="ליבה"), None)
    assert picture.name.text == "\u2068ליבה\u2069"
    assert picture.title == "\u2068ליבה\u2069 (wycats/handlebars-runtime)"
    assert picture.frame.isolate == "\u2066"


def test_repository_archived_mark_takes_room_from_the_name():
    name = "a-very-long-name-of-a-repository-that-goes-on"
    plain = compute_layout(repository(name=name), DEFAULT, None)
    archived = compute_layout(repository(name=name, is_archived=True), DEFAULT, None)
    assert archived.archived == "Archived"
    assert archived.name.width + width("Archived", 12.5) + 12 <= 344
    assert archived.name.width < plain.name.width <= 344
    assert archived.desc.endswith("Licence: MIT. Archived.")


def test_repository_fork_has_the_icon_of_forks(parse):
    shown = {}
    for is_fork in (False, True):
        root = parse(draw(repository(is_fork=is_fork), DEFAULT))
        shown[is_fork] = [element for element in root.iter() if element.tag.endswith("use")]
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        assert ("A fork of another repository." in (root[1].text or "")) is is_fork
    assert shown[False] == []
    assert [use.get("href") for use in shown[True]] == ["#f"]


def test_repository_stale_mark_shows_day_only_beside_a_short_name():
    short = compute_layout(repository(), DEFAULT, AS_OF)
    long = compute_layout(repository(name="n" * 90), DEFAULT, AS_OF)
    assert (short.has_stale_mark, short.stale_text) == (True, "as of 20 Nov")
    assert (long.has_stale_mark, long.stale_text) == (True, "")
    assert long.desc.endswith(" As of 20 Nov 2026.")
    assert not compute_layout(repository(), DEFAULT, None).has_stale_mark


@pytest.mark.parametrize("number_format", NumberFormat)
@pytest.mark.parametrize("locale", Locale)
def test_repository_facts_fit_their_row(locale, number_format):
    options = replace(DEFAULT, locale=locale, number_format=number_format)
    for number in (0, 9_999, 123_456, 999_999_999, LARGEST):
        for language in (None, "C", "Jupyter Notebook", "W" * 64):
            for licence in (None, "MIT", "CC-BY-NC-SA-4.0", "W" * 64):
                changes = {"stars": number, "forks": number}
                picture = compute_layout(
                    repository(language=language, licence=licence, **changes), options, None
                )
                size, last = picture.facts_size, picture.facts[-1]
                for fact, following in pairwise(picture.facts):
                    end = fact.text_x + width(fact.text, size, bold=fact.icon in "sf")
                    assert end < following.x
                    assert fact.text not in {"", "…"}
                assert last.text_x + width(last.text, size, bold=last.icon == "f") <= 397


def test_repository_numbers_are_never_cut():
    full = replace(DEFAULT, number_format=NumberFormat.LONG)
    assert [fact.text for fact in compute_layout(repository(), full, None).facts[1:3]] == [
        "11,558",
        "1,635",
    ]
    crowded = repository(
        language="Jupyter Notebook", licence="BSD-3-Clause-Clear", stars=LARGEST, forks=LARGEST
    )
    picture = compute_layout(crowded, full, None)
    assert picture.facts_size == 12
    assert [fact.text for fact in picture.facts[1:3]] == ["2.1B", "2.1B"]
    assert picture.facts[0].text.startswith("Jupyter")
    assert picture.facts[3].text.endswith("…")


@pytest.mark.parametrize("theme", Theme)
def test_repository_dot_contrasts_with_every_background(theme):
    options = replace(DEFAULT, theme=theme)
    colours = scheme(options)
    for language in ("Ruby", "JavaScript", "Made up"):
        picture = compute_layout(repository(language=language), options, None)
        assert all(
            contrast(picture.language_colour, background) >= colours.min_contrast
            for background in colours.backgrounds
        )


@pytest.mark.parametrize("locale", Locale)
def test_repository_description_is_in_the_words_of_the_locale(locale):
    texts = load_translations(locale).repository
    snapshot = repository(is_archived=True, is_fork=True)
    picture = compute_layout(snapshot, replace(DEFAULT, locale=locale), AS_OF)
    assert picture.archived == texts.archived
    assert texts.archived in picture.desc
    assert texts.fork in picture.desc
    isolated = "\u2068{}\u2069" if is_right_to_left(locale) else "{}"
    assert texts.language.format(language=isolated.format("Ruby")) in picture.desc
    assert texts.licence.format(licence=isolated.format("MIT")) in picture.desc


@pytest.mark.parametrize("text", ["Ends here.", "Really?", "終わり。", "تمام؟"])
def test_repository_description_gets_no_second_stop(text):
    desc = compute_layout(repository(description=text), DEFAULT, None).desc
    assert not re.search(r"[.?。؟][\u2069]?\.", desc)


@pytest.mark.parametrize("locale", [Locale.EN, Locale.AR])
@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_repository_hostile_text_stays_inside(parse, text, locale):
    hostile = repository(name=text, description=text, language=text, licence=text)
    options = replace(DEFAULT, locale=locale)
    picture = compute_layout(hostile, options, None)
    assert len(picture.lines) <= 2
    assert all(line.text.width <= 372 for line in picture.lines)
    assert picture.name.text
    svg = draw(hostile, options)
    parse(svg)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\ufffe\uffff]", svg.decode())
    assert b"<script" not in svg
    assert len(svg) <= 8_192


@given(
    st.builds(
        RepositoryDetails,
        id=st.just(1),
        name=st.text(alphabet=st.characters(), max_size=100),
        description=st.none() | st.text(alphabet=st.characters(), max_size=350),
        language=st.none() | st.text(alphabet=st.characters(), max_size=80),
        stars=st.integers(0, LARGEST),
        forks=st.integers(0, LARGEST),
        licence=st.none() | st.text(alphabet=st.characters(), max_size=80),
        is_archived=st.booleans(),
        is_fork=st.booleans(),
    ),
    st.sampled_from(Locale),
    st.sampled_from(Theme),
)
def test_repository_any_details_are_well_formed_xml(parse, details, locale, theme):
    options = replace(DEFAULT, locale=locale, theme=theme)
    root = parse(draw(make_snapshot(repository=details), options, as_of=AS_OF))
    texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]
    assert len(texts) <= 9
    assert all(texts)


@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize("theme", [Theme.DEFAULT, Theme("auto-nord")])
def test_repository_usual_picture_stays_within_size_budget(locale, theme):
    svg = draw(repository(is_archived=True), replace(DEFAULT, theme=theme, locale=locale))
    assert len(svg) <= 3_000
    assert len(gzip.compress(svg, 9)) <= 1_450
