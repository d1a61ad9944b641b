import pytest

from github_banners.drawing.colours import contrast, is_dark
from github_banners.drawing.themes import PALETTES, glow_strength, scheme
from github_banners.look import Look, Theme


def test_every_theme_of_the_options_has_its_palettes():
    assert all(scheme(Look(theme=theme)).palettes for theme in Theme)
    assert len(PALETTES) == 35


@pytest.mark.parametrize("name", PALETTES)
def test_every_palette_can_be_read(name):
    palette = PALETTES[name]
    least = 7 if name.startswith("contrast-") else 4.5
    for ink in (palette.title, palette.text, palette.muted, palette.accent):
        assert contrast(ink, palette.bg) >= least


def test_auto_is_default_and_dark_in_one():
    auto = scheme(Look(theme=Theme.AUTO))
    assert auto.palettes == (PALETTES["default"], PALETTES["dark"])
    assert auto.grounds == ("ffffff", "0d1117")
    assert auto.neutral == "7d8590"


def test_own_colours_lie_over_the_themes():
    look = Look(
        theme=Theme.AUTO,
        bg_color="102030",
        border_color="111",
        title_color="222222",
        text_color="333333",
        muted_color="444444",
        accent_color="555555",
    )
    light, dark = scheme(look).palettes
    assert (light.bg, light.border, light.title) == ("102030", "111111", "222222")
    assert (light.text, light.muted, light.accent) == ("333333", "444444", "555555")
    assert (dark.bg, dark.track) == ("102030", PALETTES["dark"].track)
    assert scheme(look).grounds == ("102030", "102030")


def test_through_a_translucent_ground_shows_the_themes():
    one = scheme(Look(bg_color="10203040"))
    assert one.palettes[0].bg == "10203040"
    assert one.grounds == ("ffffff",)


def test_the_glow_is_stronger_in_the_dark():
    assert (glow_strength("ffffff"), glow_strength("0d1117")) == (".12", ".17")
    assert is_dark(PALETTES["dimmed"].bg)
