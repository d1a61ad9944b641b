import pytest

from github_banners.drawing.colours import contrast, is_dark
from github_banners.drawing.themes import glow_strength, scheme
from github_banners.options import PALETTES, BannerOptions, Theme, allowed_values

# name, light or dark, its partner, then the contrast of title, text, muted and accent as designed
DESIGNED = """
default              l dark                 15.8 15.8 6.1 5.2
dark                 d default              17.4 16.0 6.5 6.1
dimmed               d default              12.6 10.3 6.1 6.6
contrast-light       l contrast-dark        20.5 20.5 10.6 10.2
contrast-dark        d contrast-light       20.5 20.5 12.7 12.4
safe-light           l safe-dark            16.6 16.6 6.4 6.5
safe-dark            d safe-light           16.6 14.9 7.2 8.5
paper                l ink                  14.9 13.4 5.6 5.8
ink                  d paper                16.0 13.7 6.4 8.5
tide                 l tide-night           13.5 11.6 5.5 5.3
tide-night           d tide                 15.8 13.8 6.9 9.3
iris                 l iris-night           15.5 13.6 5.8 6.1
iris-night           d iris                 16.7 14.0 7.3 6.9
ember                l ember-night          15.2 13.3 5.9 5.0
ember-night          d ember                16.8 14.2 7.1 8.2
moss                 l moss-night           14.3 12.3 5.7 5.0
moss-night           d moss                 16.5 14.4 7.2 9.6
dracula              d dracula-light        13.4 13.4 5.4 5.9
dracula-light        l dracula              15.9 15.9 5.6 6.0
nord                 d nord-light           10.8 10.3 6.6 6.2
nord-light           l nord                 10.8 8.7 6.4 4.7
gruvbox              d gruvbox-light        13.0 10.7 5.7 8.7
gruvbox-light        l gruvbox              13.0 10.2 5.0 4.7
tokyo-night          d tokyo-day            10.6 10.6 5.4 6.8
tokyo-day            l tokyo-night          9.8 8.5 5.0 4.7
catppuccin-mocha     d catppuccin-latte     11.3 11.3 7.4 8.1
catppuccin-latte     l catppuccin-mocha     7.1 7.1 5.1 4.8
catppuccin-frappe    d catppuccin-latte     8.1 8.1 5.6 5.6
catppuccin-macchiato d catppuccin-latte     9.9 9.9 6.6 6.8
solarized-dark       d solarized-light      12.3 5.6 5.2 4.7
solarized-light      l solarized-dark       12.1 5.0 5.0 4.7
rose-pine            d rose-pine-dawn       13.4 13.4 5.5 8.4
rose-pine-dawn       l rose-pine            6.7 6.7 4.9 4.6
one-dark             d one-light            10.0 6.6 5.5 5.9
one-light            l one-dark             10.9 10.9 5.0 4.7
"""
ROWS = [row.split() for row in DESIGNED.strip().splitlines()]


def text_colours(name: str) -> tuple[str, str, str, str]:
    palette = PALETTES[name]
    return palette.title, palette.text, palette.muted, palette.accent


def test_palettes_have_the_names_of_the_options():
    plain = [name for name in allowed_values("type") if not name.startswith("auto")]
    assert sorted(plain) == sorted(PALETTES)
    assert sorted(name for name, *_ in ROWS) == sorted(PALETTES)


@pytest.mark.parametrize("theme", Theme)
def test_scheme_has_palettes_of_its_theme(theme):
    assert scheme(BannerOptions(theme=theme)).palettes == tuple(
        PALETTES[name] for name in theme.palette_names
    )
    are_dark = [
        is_dark(background) for background in scheme(BannerOptions(theme=theme)).backgrounds
    ]
    assert len(are_dark) == 1 or are_dark == [False, True]


@pytest.mark.parametrize(("name", "kind", "partner"), [row[:3] for row in ROWS])
def test_theme_pairs_equal_the_design(name, kind, partner):
    assert is_dark(PALETTES[name].bg) is (kind == "d")
    pair = (name, partner) if kind == "l" else (partner, name)
    assert Theme(f"auto-{name}").palette_names == pair


@pytest.mark.parametrize("name", PALETTES)
def test_palettes_have_readable_contrast(name):
    min_contrast = 7 if name.startswith("contrast-") else 4.5
    assert min(contrast(colour, PALETTES[name].bg) for colour in text_colours(name)) >= min_contrast


@pytest.mark.parametrize(("name", "designed"), [(row[0], row[3:]) for row in ROWS])
def test_palettes_contrasts_equal_the_design(name, designed):
    assert [
        f"{contrast(colour, PALETTES[name].bg):.1f}" for colour in text_colours(name)
    ] == designed


@pytest.mark.parametrize("theme", [theme for theme in Theme if len(theme.palette_names) == 2])
def test_scheme_pairs_have_readable_contrast(theme):
    min_contrast = 7 if "contrast-" in theme else 4.5
    colours = scheme(BannerOptions(theme=theme))
    for palette, background in zip(colours.palettes, colours.backgrounds, strict=True):
        for colour in (palette.title, palette.text, palette.muted, palette.accent):
            assert contrast(colour, background) >= min_contrast


def test_scheme_tints_glow_in_github_themes_only():
    tinted = {theme.value for theme in Theme if scheme(BannerOptions(theme=theme)).tints_glow}
    assert tinted == {"default", "dark", "dimmed", "auto"}


def test_scheme_auto_is_default_and_dark():
    auto = scheme(BannerOptions(theme=Theme.AUTO))
    assert auto.palettes == (PALETTES["default"], PALETTES["dark"])
    assert auto.backgrounds == ("ffffff", "0d1117")
    assert auto.neutral == "7d8590"


def test_scheme_colour_options_override_theme():
    options = BannerOptions(
        theme=Theme.AUTO,
        bg_color="102030",
        border_color="111",
        title_color="222222",
        text_color="333333",
        muted_color="444444",
        accent_color="555555",
    )
    light, dark = scheme(options).palettes
    assert (light.bg, light.border, light.title) == ("102030", "111111", "222222")
    assert (light.text, light.muted, light.accent) == ("333333", "444444", "555555")
    assert (dark.bg, dark.track) == ("102030", PALETTES["dark"].track)
    assert scheme(options).backgrounds == ("102030", "102030")


def test_scheme_translucent_background_uses_that_of_theme():
    colours = scheme(BannerOptions(bg_color="10203040"))
    assert colours.palettes[0].bg == "10203040"
    assert colours.backgrounds == ("ffffff",)


def test_glow_strength_dark_background_is_stronger():
    assert (glow_strength("ffffff"), glow_strength("0d1117")) == (".12", ".17")
    assert is_dark(PALETTES["dimmed"].bg)
