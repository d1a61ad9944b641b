"""A layout is one file and its line in the list: nothing else knows one by its name."""

import ast
from datetime import date
from pathlib import Path

import msgspec
import pytest

import github_banners.drawing
from github_banners.drawing import draw, explain
from github_banners.drawing.frame import Canvas, Frame, frame
from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.layouts.layout_spec import LayoutSpec
from github_banners.drawing.themes import scheme
from github_banners.errors import Overloaded
from github_banners.models import Snapshot
from github_banners.options import BannerOptions, ChartType, Layout

ROOM = Path(github_banners.drawing.__file__).parent
NAMES = {layout.value for layout in Layout}
# The words of people, and of pictures, that are layouts' names too.
WORDS = {"languages"}


class Bare(msgspec.Struct, frozen=True):
    """An invented layout: the frame alone."""

    frame: Frame
    title: str
    desc: str


def _arrange(snapshot: Snapshot, look: BannerOptions, as_of: date | None) -> Bare:
    return Bare(frame(Canvas(300, 200, radius=3), look, scheme(look)), snapshot.owner.login, "")


def test_every_layout_has_its_file():
    assert set(LAYOUTS) == set(Layout)
    files = {path.stem for path in (ROOM / "layouts").glob("*.py")}
    assert files == NAMES | {"__init__", "layout_spec"}
    assert all((ROOM / "templates" / one.template).exists() for one in LAYOUTS.values())


def test_a_new_layout_is_drawn_and_explained_as_soon_as_it_is_listed(monkeypatch, parse, snapshot):
    new = LayoutSpec(
        Canvas(300, 200, radius=3),
        "frame.svg",
        _arrange,
        default_counts=dict.fromkeys(ChartType, 5),
    )
    monkeypatch.setitem(LAYOUTS, Layout.CLASSIC, new)
    for picture in (draw(snapshot(), BannerOptions()), explain(Overloaded())):
        root = parse(picture)
        assert (root.get("width"), root.get("height")) == ("300", "200")
        assert next(one.get("rx") for one in root.iter() if one.get("class") == "c") == "3"


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.name)
def test_no_other_module_knows_a_layout_by_its_name(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    imported = {
        f"{node.module}.{name.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert not strings & (NAMES - WORDS)
    assert "github_banners.options.Layout" not in imported
    assert not any(one.startswith("github_banners.drawing.layouts.") for one in imported) or (
        path.name == "__init__.py"
    )


@pytest.mark.parametrize("path", sorted((ROOM / "layouts").glob("*.py")), ids=lambda it: it.name)
def test_no_layout_knows_another(path):
    if path.stem == "__init__":
        return
    source = path.read_text(encoding="utf-8")
    assert not any(f"drawing.layouts.{name}" in source for name in NAMES - {path.stem})
