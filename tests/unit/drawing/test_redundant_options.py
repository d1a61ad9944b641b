from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from github_banners.drawing import draw
from github_banners.options import (
    COLOURS,
    DEFAULT_LANGS_COUNT,
    DEFAULT_RADIUS,
    PALETTES,
    BannerOptions,
    ChartType,
    Layout,
    Theme,
    drop_redundant_options,
    parse_options,
    to_canonical_json,
)

LANGUAGES = {f"Language {index}": 30 - index for index in range(20)}


def spelled_out(layout: Layout, shape: ChartType, theme: Theme) -> BannerOptions:
    """Return options that spell out every default of a layout and a theme."""
    palette = PALETTES[theme.palette_names[0]]
    colours = {option: getattr(palette, colour) for option, colour in COLOURS.items()}
    return BannerOptions(
        theme=theme,
        layout=layout,
        shape=shape,
        radius=DEFAULT_RADIUS[layout],
        langs_count=DEFAULT_LANGS_COUNT[layout][shape],
        **colours,
    )


@pytest.mark.parametrize("shape", ChartType)
@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("theme", [Theme.DEFAULT, Theme.DARK, Theme("nord"), Theme("safe-dark")])
def test_drop_redundant_options_all_defaults_given_keeps_picture(snapshot, layout, shape, theme):
    # Layouts without languages ignore the shape.
    plain = drop_redundant_options(BannerOptions(theme=theme, layout=layout, shape=shape))
    spelled = spelled_out(layout, shape, theme)
    assert drop_redundant_options(spelled) == plain
    owner = snapshot(languages=LANGUAGES)
    for as_of in (None, date(2026, 11, 20)):
        assert draw(owner, spelled, as_of=as_of) == draw(owner, plain, as_of=as_of)


def test_drop_redundant_options_pair_of_palettes_drops_only_common_colours():
    pair = BannerOptions(theme=Theme.AUTO, bg_color="ffffff", radius=12)
    assert drop_redundant_options(pair) == BannerOptions(theme=Theme.AUTO, bg_color="ffffff")


def test_drop_redundant_options_other_values_are_kept():
    options = parse_options(
        {"radius": "11", "langs_count": "5", "bg_color": "fffffe", "title": "T"}
    )
    assert drop_redundant_options(options) is options


@given(
    layout=st.sampled_from(Layout),
    shape=st.sampled_from(ChartType),
    theme=st.sampled_from(Theme),
    chosen=st.sets(st.sampled_from(["radius", "langs_count", *COLOURS])),
)
def test_drop_redundant_options_some_defaults_given_gives_same_options(
    layout, shape, theme, chosen
):
    # Layouts without languages ignore the shape.
    plain = drop_redundant_options(BannerOptions(theme=theme, layout=layout, shape=shape))
    spelled = spelled_out(layout, shape, theme)
    explicit = replace(plain, **{name: getattr(spelled, name) for name in chosen})
    canonical = drop_redundant_options(explicit)
    assert drop_redundant_options(canonical) == canonical
    assert len(theme.palette_names) > 1 or to_canonical_json(canonical) == to_canonical_json(plain)
