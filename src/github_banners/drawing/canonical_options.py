"""
Wishes for what is so anyway: dropped, so that a look has one form however much of it is spelled out.

What a layout and a theme have of their own is known here; the defaults that every look has, `look`
drops itself.
"""

from msgspec.structs import replace

from github_banners.drawing.themes import COLOURS, PALETTES
from github_banners.options import BannerOptions


def drop_defaults(look: BannerOptions, *, radius: int, langs_count: int) -> BannerOptions:
    """Leave to the layout, whose own these two are, and to the theme what they would do."""
    usual: dict[str, object] = {"radius": radius, "langs_count": langs_count}
    palettes = [PALETTES[name] for name in look.theme.palettes]
    for option, colour in COLOURS.items():
        ones = {getattr(palette, colour) for palette in palettes}
        usual[option] = ones.pop() if len(ones) == 1 else None
    same = {name: None for name, one in usual.items() if getattr(look, name) == one}
    return replace(look, **same) if same else look
