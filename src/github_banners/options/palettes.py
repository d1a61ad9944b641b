"""Every palette with its colours, by family, and the options that override the colours."""

import msgspec


class Palette(msgspec.Struct, frozen=True, gc=False):
    """The colours of a banner, as hex without `#`: six digits, or eight if translucent."""

    bg: str
    border: str
    title: str
    text: str
    muted: str
    accent: str
    track: str


# name, then bg border title text muted accent track. Blank lines separate the families: a light
# theme, then its dark variants. `auto-LIGHT` is paired with the first of these.
_ROWS = """
default              ffffff d1d9e0 1f2328 1f2328 59636e 0969da e6eaef
dark                 0d1117 30363d f0f6fc e6edf3 9198a1 4493f8 262c36
dimmed               212830 3d444d e6edf3 d1d7e0 9fa6af 6cb0ff 323a44

contrast-light       ffffff 454c54 010409 010409 393f46 023b95 c8d1da
contrast-dark        010409 b7bdc8 ffffff ffffff c4ccd5 9ecdff 3d444d

safe-light           ffffff c9d1d9 1b1f24 1b1f24 57606a 0f5fa8 e4e8ed
safe-dark            11151c 333b46 f2f4f7 e4e8ee 9aa4b0 6db6ff 28303a

paper                faf8f3 e2ddd0 26221b 2f2a22 6b6355 9a4b17 e9e4d8
ink                  17161a 34323a f4f1ea e4e0d8 a09a8e e8a365 2a282f

tide                 f4fafb c9dfe3 0b2f38 123a44 4a6a72 0b7285 d9e9ec
tide-night           071d26 1c3d4a e9f7f9 d5e9ed 8aa9b2 4fd1c5 143240

iris                 fbfaff dcd6f3 221a45 2d2454 655d86 6a3fd6 e8e3f8
iris-night           120f24 332c57 f3f0ff e0dbf8 a49cc9 a78bfa 261f45

ember                fffaf6 f0d9c8 3a1a0c 472313 7c5a48 c2410c f5e5d9
ember-night          1a110d 46302a fff1e8 f2ddd0 b89a8a fb923c 33221b

moss                 f7faf5 d3dfcb 1b2a17 24361f 56684f 2f7a3d e2eadd
moss-night           0f1710 2b3b2c eef6ea dbe8d6 94a88f 7ccf7f 202d20

dracula-light        fffbeb cfcfde 1f1f1f 1f1f1f 6c664b 644ac9 ece8d6
dracula              282a36 44475a f8f8f2 f8f8f2 87a0d4 bd93f9 44475a

nord-light           eceff4 d8dee9 2e3440 3b4252 4c566a 4a6c96 d8dee9
nord                 2e3440 434c5e eceff4 e5e9f0 b4bdcd 88c0d0 434c5e

gruvbox-light        fbf1c7 d5c4a1 282828 3c3836 72655a 955f06 ebdbb2
gruvbox              282828 504945 fbf1c7 ebdbb2 ae9f89 fabd2f 3c3836

tokyo-day            e1e2e7 c4c8da 2b3152 343b58 4b5b93 045fc9 d0d5e3
tokyo-night          1a1b26 292e42 c0caf5 c0caf5 838fb9 7aa2f7 292e42

catppuccin-latte     eff1f5 ccd0da 4c4f69 4c4f69 62657b 8839ef dce0e8
catppuccin-mocha     1e1e2e 45475a cdd6f4 cdd6f4 a6adc8 cba6f7 313244
catppuccin-frappe    303446 51576d c6d0f5 c6d0f5 a5adce ca9ee6 414559
catppuccin-macchiato 24273a 494d64 cad3f5 cad3f5 a5adcb c6a0f6 363a4f

solarized-light      fdf6e3 e4dcc4 073642 586e75 586e76 0674b6 eee8d5
solarized-dark       002b36 0f4552 eee8d5 93a1a1 889c9e 3496de 0b3f4c

rose-pine-dawn       faf4ed dfdad9 575279 575279 6b6782 7b6693 f2e9e1
rose-pine            191724 403d52 e0def4 e0def4 908caa c4a7e7 26233a

one-light            fafafa dbdbdc 383a42 383a42 6b6c72 336ae2 e5e5e6
one-dark             282c34 3e4451 d7dae0 abb2bf 9ba3b1 61afef 3a3f4b
"""

_FAMILY_ROWS = [
    [row.split() for row in family.splitlines()] for family in _ROWS.strip().split("\n\n")
]

FAMILIES = [[name for name, *_ in rows] for rows in _FAMILY_ROWS]
"""The names of the palettes by family, each with the light palette first."""

PALETTES = {name: Palette(*colours) for rows in _FAMILY_ROWS for name, *colours in rows}

COLOURS = {f"{name}_color": name for name in ("bg", "border", "title", "text", "muted", "accent")}
"""The colour options and the palette fields they override, in the order of `Palette`."""


def _build_palette_names() -> dict[str, tuple[str, ...]]:
    """Map every type to the name of its palette, or to those of its light and its dark palette."""
    single = {name: (name,) for name in PALETTES}
    pairs = {
        f"auto-{name}": (light, darks[0] if name == light else name)
        for light, *darks in FAMILIES
        for name in (*darks, light)
    }
    return {"auto": pairs["auto-default"], **single, **pairs}


PALETTE_NAMES = _build_palette_names()
"""The palette of every type, or its light and its dark palette, by name."""
