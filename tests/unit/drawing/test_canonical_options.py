from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from github_banners.drawing import draw, drop_redundant_options
from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.themes import COLOURS, PALETTES
from github_banners.options import (
    BannerOptions,
    ChartType,
    Layout,
    Theme,
    parse_options,
    to_canonical_json,
)

MANY = {f"Language {at}": 30 - at for at in range(20)}


def spelled_out(layout: Layout, shape: ChartType, theme: Theme) -> BannerOptions:
    """Wish for all that is so anyway."""
    arrangement, palette = LAYOUTS[layout], PALETTES[theme.palettes[0]]
    colours = {option: getattr(palette, colour) for option, colour in COLOURS.items()}
    return BannerOptions(
        theme=theme,
        layout=layout,
        shape=shape,
        radius=arrangement.canvas.radius,
        langs_count=arrangement.default_counts[shape],
        **colours,
    )


@pytest.mark.parametrize("shape", ChartType)
@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("theme", [Theme.DEFAULT, Theme.DARK, Theme("nord"), Theme("safe-dark")])
def test_what_is_so_anyway_is_no_other_look_and_no_other_picture(snapshot, layout, shape, theme):
    plain = BannerOptions(theme=theme, layout=layout, shape=shape)
    spelled = spelled_out(layout, shape, theme)
    assert drop_redundant_options(spelled) == plain
    one = snapshot(languages=MANY)
    for as_of in (None, date(2026, 11, 20)):
        assert draw(one, spelled, as_of=as_of) == draw(one, plain, as_of=as_of)


def test_of_a_pair_only_what_both_have_is_dropped():
    pair = BannerOptions(theme=Theme.AUTO, bg_color="ffffff", radius=12)
    assert drop_redundant_options(pair) == BannerOptions(theme=Theme.AUTO, bg_color="ffffff")


def test_everything_else_is_kept():
    look = parse_options({"radius": "11", "langs_count": "5", "bg_color": "fffffe", "title": "T"})
    assert drop_redundant_options(look) is look


@given(
    layout=st.sampled_from(Layout),
    shape=st.sampled_from(ChartType),
    theme=st.sampled_from(Theme),
    chosen=st.sets(st.sampled_from(["radius", "langs_count", *COLOURS])),
)
def test_any_part_of_it_comes_to_the_same(layout, shape, theme, chosen):
    plain = BannerOptions(theme=theme, layout=layout, shape=shape)
    spelled = spelled_out(layout, shape, theme)
    wish = replace(plain, **{name: getattr(spelled, name) for name in chosen})
    settled = drop_redundant_options(wish)
    assert drop_redundant_options(settled) == settled
    assert len(theme.palettes) > 1 or to_canonical_json(settled) == to_canonical_json(plain)
