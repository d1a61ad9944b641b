"""All layouts: the contract that they share, and their isolation from other modules."""

import ast
import re
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import github_banners.drawing
from github_banners.drawing import draw, explain
from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.layouts.layout_spec import LayoutSpec
from github_banners.drawing.themes import Canvas, Frame, frame
from github_banners.errors import Overloaded
from github_banners.models import Snapshot
from github_banners.options import (
    DEFAULT_LANGS_COUNT,
    PALETTES,
    BannerOptions,
    ChartType,
    CountBy,
    HideableField,
    Layout,
    NumberFormat,
    Theme,
)
from tests.snapshots import make_activity, make_snapshot

DRAWING = Path(github_banners.drawing.__file__).parent
NAMES = {layout.value for layout in Layout}
# Layout names that are ordinary words too.
ORDINARY_WORDS = {"languages", "repository"}


class HeadlineLayout(NamedTuple):
    """What differs between the layouts that show stars, forks and repositories."""

    layout: Layout
    positions: tuple[int, int, int]
    size: float
    min_size: float


LANGUAGE_FORMS = [
    (Layout.CLASSIC, ChartType.BAR),
    (Layout.CARD, ChartType.BAR),
    (Layout.COMPACT, ChartType.BAR),
    (Layout.LANGUAGES, ChartType.BAR),
    (Layout.LANGUAGES, ChartType.DONUT),
]
FORMS = [*LANGUAGE_FORMS, (Layout.ACTIVITY, ChartType.BAR), (Layout.REPOSITORY, ChartType.BAR)]
HEADLINE_LAYOUTS = [
    HeadlineLayout(Layout.CLASSIC, (408, 526, 644), size=32, min_size=17),
    HeadlineLayout(Layout.CARD, (24, 140, 256), size=25, min_size=14),
    HeadlineLayout(Layout.COMPACT, (198, 274, 346), size=14, min_size=11),
]
ICONS = {HideableField.STARS: "s", HideableField.FORKS: "f", HideableField.REPOSITORIES: "p"}

any_language_form = pytest.mark.parametrize(("layout", "shape"), LANGUAGE_FORMS)
any_headline_layout = pytest.mark.parametrize(
    "case", HEADLINE_LAYOUTS, ids=lambda case: case.layout
)


def compute(snapshot: Snapshot, options: BannerOptions, as_of: date | None = None) -> Any:
    """Compute the values of the layout that the options choose."""
    return LAYOUTS[options.layout].compute_layout(snapshot, options, as_of)


@any_headline_layout
def test_headline_layout_shows_numbers_ring_and_description(snapshot, case):
    picture = compute(snapshot(), BannerOptions(layout=case.layout))
    assert picture.title == "Yehuda Katz (@wycats)"
    assert picture.desc == (
        "11,558 stars, 1,635 forks, 150 repositories (93 original, 57 forked). "
        "Top languages: Ruby 65%, JavaScript 26%, Rust 5%."
    )
    values = [(metric.x, metric.value) for metric in picture.metrics.items]
    assert values == list(zip(case.positions, ("11.5k", "1,635", "150"), strict=True))
    assert picture.metrics.size == case.size
    assert len(picture.ring) == 5
    assert picture.glow == "701516"


@pytest.mark.parametrize(("layout", "shape"), FORMS)
def test_layouts_theme_without_tint_glow_is_accent(snapshot, layout, shape):
    options = BannerOptions(layout=layout, shape=shape, theme=Theme("contrast-light"))
    picture = draw(snapshot(activity=make_activity()), options).decode()
    assert f"stop-color:#{PALETTES['contrast-light'].accent};" in picture


@pytest.mark.parametrize(
    "hide",
    [
        (HideableField.STARS,),
        (HideableField.FORKS, HideableField.LOGIN),
        (HideableField.FORKS, HideableField.LOGIN, HideableField.STARS),
        (HideableField.REPOSITORIES,),
    ],
)
@any_headline_layout
def test_headline_layout_hidden_numbers_leave_no_gap(snapshot, case, hide):
    picture = compute(snapshot(), BannerOptions(layout=case.layout, hide=hide))
    icons = [icon for field, icon in ICONS.items() if field not in hide]
    assert [(metric.icon, metric.x) for metric in picture.metrics.items] == list(
        zip(icons, case.positions, strict=False)
    )


@pytest.mark.parametrize("number_format", NumberFormat)
@pytest.mark.parametrize(
    "number",
    [0, 1, 9_999, 10_000, 123_456, 1_234_567, 99_999_999, 999_999_999, 2**31 - 1],
)
@any_headline_layout
def test_headline_layout_every_number_fits(snapshot, case, number, number_format):
    owner = snapshot(stars=number, forks=number, original=number, forked=0)
    options = BannerOptions(layout=case.layout, number_format=number_format)
    metrics = compute(owner, options).metrics
    assert metrics.size >= case.min_size
    assert len(metrics.items) == 3


@any_language_form
def test_layout_with_everything_hidden_is_empty(snapshot, layout, shape):
    options = BannerOptions(layout=layout, shape=shape, hide=tuple(HideableField))
    picture = compute(snapshot(), options)
    assert picture.desc == ""
    shown = msgspec.structs.asdict(picture)
    parts = ("bar", "ring", "legend", "rows", "centre", "split", "forked", "empty_state")
    assert not any(shown.get(part) for part in parts)
    assert "metrics" not in shown or not picture.metrics.items


def written_percentages(picture: Any) -> dict[str, str]:
    """Return the percentages of languages and Other in the picture and in its description."""
    parts = getattr(picture, "legend", ()) or getattr(getattr(picture, "rows", None), "items", ())
    shown = {getattr(part.name, "text", part.name): part.percent for part in parts}
    described = dict(re.findall(r"(L\d+|Other) ([<>]?\d+%)", picture.desc))
    assert described == {name: shown.get(name, described[name]) for name in described}
    return shown | described


@given(
    st.lists(st.integers(1, 9) | st.integers(1, 500), min_size=1, max_size=30),
    st.sets(st.integers(0, 29), max_size=2),
)
def test_layouts_with_any_counts_write_the_same_percentages(amounts, hidden):
    owner = make_snapshot(languages={f"L{index}": amount for index, amount in enumerate(amounts)})
    hide_langs = tuple(f"l{index}" for index in hidden)
    percentages: dict[str, set[str]] = {}
    for layout, shape in LANGUAGE_FORMS:
        for count in (None, 1, 3, 7, 10):
            options = BannerOptions(
                layout=layout, shape=shape, langs_count=count, hide_langs=hide_langs
            )
            for name, percent in written_percentages(compute(owner, options)).items():
                if name != "Other":
                    percentages.setdefault(name, set()).add(percent)
    assert all(len(texts) == 1 for texts in percentages.values())
    visible = set(range(len(amounts))) - hidden
    assert len(percentages) >= min(len(visible), 10)


@any_language_form
def test_layout_by_size_shows_shares_of_bytes(snapshot, layout, shape):
    sizes = {"C": 600, "Go": 300, "": 100}
    owner = msgspec.structs.replace(snapshot(), language_sizes=sizes)
    options = BannerOptions(layout=layout, shape=shape, count_by=CountBy.BYTES)
    assert re.findall(r"(C|Go|Other) (\d+%)", compute(owner, options).desc) == [
        ("C", "60%"),
        ("Go", "30%"),
        ("Other", "10%"),
    ]


@pytest.mark.parametrize("count", [None, 1, 3, 5, 10])
@pytest.mark.parametrize("number", [0, 1, 2, 6, 7, 60])
@any_language_form
def test_layout_bar_legend_and_ring_show_the_same_languages(snapshot, layout, shape, number, count):
    owner = snapshot(languages={f"Language {index}": 60 - index for index in range(number)})
    picture = compute(owner, BannerOptions(layout=layout, shape=shape, langs_count=count))
    limit = count or DEFAULT_LANGS_COUNT[layout][shape]
    shown = msgspec.structs.asdict(picture)
    if layout is Layout.LANGUAGES:
        items = picture.rows.items if picture.rows else ()
        assert len(items) == len(picture.bar) + len(picture.ring) == min(number, limit + 1)
        return
    # Beside the other parts there is a ring of five languages and Other at most.
    assert len(picture.ring) == min(number, min(count or 5, 5) + 1)
    if "legend" in shown:
        assert len(picture.legend) == len(picture.bar) <= min(number, limit + 1)
        assert bool(picture.legend) == bool(number)


class FakeLayout(msgspec.Struct, frozen=True):
    """The values of a layout that has only a frame."""

    frame: Frame
    glow: str
    title: str
    desc: str


def _compute_fake(snapshot: Snapshot, options: BannerOptions, as_of: date | None) -> FakeLayout:
    built = frame(Canvas(300, 200), options, is_mirrored=False)
    return FakeLayout(built, "", snapshot.owner.login, "")


def test_layouts_each_has_module_and_template():
    assert set(LAYOUTS) == {layout for layout, _ in FORMS} == set(Layout)
    files = {path.stem for path in (DRAWING / "layouts").glob("*.py")}
    assert files == NAMES | {"__init__", "layout_spec"}
    assert all((DRAWING / "templates" / layout.template).exists() for layout in LAYOUTS.values())


def test_layouts_new_entry_is_drawn_and_explained(monkeypatch, parse, snapshot):
    new = LayoutSpec(Canvas(300, 200), "frame.svg", _compute_fake)
    monkeypatch.setitem(LAYOUTS, Layout.CLASSIC, new)
    options = BannerOptions(radius=3)
    for picture in (draw(snapshot(), options), explain(Overloaded(), options=options)):
        root = parse(picture)
        assert (root.get("width"), root.get("height")) == ("300", "200")
        assert (
            next(element.get("rx") for element in root.iter() if element.get("class") == "c") == "3"
        )


@pytest.mark.parametrize("path", sorted(DRAWING.glob("*.py")), ids=lambda path: path.name)
def test_layouts_are_not_named_in_other_modules(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    imported = {
        f"{node.module}.{name.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert not strings & (NAMES - ORDINARY_WORDS)
    assert "github_banners.options.Layout" not in imported
    assert not any(name.startswith("github_banners.drawing.layouts.") for name in imported) or (
        path.name == "rendering.py"
    )


@pytest.mark.parametrize(
    "path", sorted((DRAWING / "layouts").glob("*.py")), ids=lambda path: path.name
)
def test_layouts_do_not_import_each_other(path):
    if path.stem == "__init__":
        return
    source = path.read_text(encoding="utf-8")
    assert not any(f"drawing.layouts.{name}" in source for name in NAMES - {path.stem})
