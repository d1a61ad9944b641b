"""
Drop options that equal a default, so that equal banners have equal options.

Covers the defaults of layouts and themes; defaults of the options themselves are left out by
`options.to_canonical_json`.
"""

from msgspec.structs import replace

from github_banners.drawing.themes import COLOURS, PALETTES
from github_banners.options import BannerOptions


def drop_defaults(options: BannerOptions, *, radius: int, langs_count: int) -> BannerOptions:
    """
    Set options to None where that draws the same banner.

    `radius` and `langs_count` are the layout's defaults. A colour is dropped if all palettes of the
    theme have it.
    """
    defaults: dict[str, object] = {"radius": radius, "langs_count": langs_count}
    palettes = [PALETTES[name] for name in options.theme.palettes]
    for option, colour in COLOURS.items():
        values = {getattr(palette, colour) for palette in palettes}
        defaults[option] = values.pop() if len(values) == 1 else None
    redundant = {
        name: None for name, default in defaults.items() if getattr(options, name) == default
    }
    return replace(options, **redundant) if redundant else options
