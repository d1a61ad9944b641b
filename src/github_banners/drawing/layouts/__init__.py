"""
Every layout by its name.

A layout is one file of pure numbers, from a snapshot and a look to values for its template. To add
one, write its file and name it here.
"""

from github_banners.drawing.layouts import card, classic, compact, languages
from github_banners.drawing.layouts.layout_spec import LayoutSpec
from github_banners.options import Layout

LAYOUTS: dict[Layout, LayoutSpec] = {
    Layout.CLASSIC: classic.LAYOUT_SPEC,
    Layout.CARD: card.LAYOUT_SPEC,
    Layout.COMPACT: compact.LAYOUT_SPEC,
    Layout.LANGUAGES: languages.LAYOUT_SPEC,
}
