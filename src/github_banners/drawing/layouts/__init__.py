"""
All layouts by name.

A layout is a module that computes positions and texts for its template, from a snapshot and banner
options. `CONTRIBUTING.md` lists how to add one.
"""

from github_banners.drawing.layouts import activity, card, classic, compact, languages, repository
from github_banners.drawing.layouts.layout_spec import LayoutSpec
from github_banners.options import Layout

LAYOUTS: dict[Layout, LayoutSpec] = {
    Layout.CLASSIC: classic.LAYOUT_SPEC,
    Layout.CARD: card.LAYOUT_SPEC,
    Layout.COMPACT: compact.LAYOUT_SPEC,
    Layout.LANGUAGES: languages.LAYOUT_SPEC,
    Layout.REPOSITORY: repository.LAYOUT_SPEC,
    Layout.ACTIVITY: activity.LAYOUT_SPEC,
}
