"""The picture for link previews: size, place of the banner, colours, foreign SVGs."""

import math
import re
from datetime import date

import pytest

from github_banners.drawing import draw
from github_banners.drawing.colours import contrast
from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.open_graph import HEIGHT, WIDTH, draw_open_graph, read_texts
from github_banners.errors import RenderingFailed
from github_banners.options import PALETTES, BannerOptions, Layout, Locale, Theme

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("layout", Layout)
def test_draw_open_graph_banner_is_centred_and_fits(snapshot, parse, layout):
    canvas = LAYOUTS[layout].canvas
    root = parse(draw_open_graph(draw(snapshot(), BannerOptions(layout=layout))))
    banner = root.find(f"{SVG}svg")
    assert banner.get("viewBox") == f"0 0 {canvas.width} {canvas.height}"
    x, y, width, height = (float(banner.get(name)) for name in ("x", "y", "width", "height"))
    assert abs(x + width / 2 - WIDTH / 2) < 0.2
    assert abs(y + height / 2 - HEIGHT / 2) < 0.2
    assert abs(width / height - canvas.width / canvas.height) < 0.02
    assert width <= 1090
    if layout not in (Layout.CARD, Layout.LANGUAGES):
        assert width > 1080
    assert root.findall(f"{SVG}text")[-1].text == "GitHub Banners"


@pytest.mark.parametrize("theme", Theme)
def test_draw_open_graph_has_background_and_readable_name(snapshot, parse, theme):
    root = parse(draw_open_graph(draw(snapshot(), BannerOptions(theme=theme))))
    background = root.find(f"{SVG}rect").get("fill").removeprefix("#")
    assert background == PALETTES[theme.palette_names[0]].bg
    text_colour = root.findall(f"{SVG}text")[-1].get("fill").removeprefix("#")
    assert text_colour == PALETTES[theme.palette_names[0]].title


@pytest.mark.parametrize("theme", [Theme.DEFAULT, Theme.DARK])
def test_draw_open_graph_translucent_banner_has_readable_background(snapshot, parse, theme):
    options = BannerOptions(theme=theme, bg_color="00000000")
    root = parse(draw_open_graph(draw(snapshot(), options)))
    background = root.find(f"{SVG}rect").get("fill").removeprefix("#")
    assert contrast(background, PALETTES[theme].title) > 7


def test_draw_open_graph_mirrored_banner_starts_at_the_right(snapshot, parse):
    banner = draw(snapshot(), BannerOptions(locale=Locale.AR), as_of=date(2026, 11, 20))
    root = parse(draw_open_graph(banner))
    assert root.find(f"{SVG}svg").get("text-anchor") == "end"
    assert root.find(f"{SVG}radialGradient").get("cx") == str(WIDTH)


def test_draw_open_graph_heatmap_cells_are_whole_pixels(snapshot, parse):
    root = parse(draw_open_graph(draw(snapshot(), BannerOptions(layout=Layout.ACTIVITY))))
    banner = root.find(f"{SVG}svg")
    canvas = LAYOUTS[Layout.ACTIVITY].canvas
    width, height = (float(banner.get(name)) for name in ("width", "height"))
    scale = min(width / canvas.width, height / canvas.height)
    cells = banner.find(f"{SVG}g/{SVG}g[@mask]").get("transform")
    cell_size = scale * float(re.findall(r"scale\((\d+)\)", cells)[0])
    # The rasterizer rounds up; the difference adds up over 53 weeks.
    assert 53 * (math.ceil(cell_size) - cell_size) < 0.5


@pytest.mark.parametrize("layout", Layout)
def test_draw_open_graph_ids_are_unique(snapshot, layout):
    banner = draw(snapshot(), BannerOptions(layout=layout))
    ids = re.findall(rb'\bid="([^"]+)"', draw_open_graph(banner))
    assert len(ids) == len(set(ids)) > 3


@pytest.mark.parametrize(
    "svg", [b"", b"<html/>", b'<svg xmlns="x"/>', b'<svg xmlns="x" width="0" height="9"></svg>']
)
def test_draw_open_graph_foreign_svg_raises(svg):
    with pytest.raises(RenderingFailed):
        draw_open_graph(svg)


def test_read_texts_unescapes_title_and_description(snapshot):
    title, description = read_texts(draw(snapshot(name="<&> Ü"), BannerOptions()))
    assert title == "<&> Ü (@wycats)"
    assert description.startswith("11,558 stars, 1,635 forks, 150 repositories (")
    assert read_texts(b"<svg/>") == ("", "")
