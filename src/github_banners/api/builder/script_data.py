"""What the script of the builder page needs to know: words, colours of themes, rules of layouts."""

from functools import cache
from urllib.parse import urlsplit

import msgspec

from github_banners.api.base_path import base_path_from_url
from github_banners.api.builder.sources import SAMPLE, SAMPLE_REPOSITORY
from github_banners.api.builder.words import read_words
from github_banners.drawing import draw
from github_banners.drawing.rendering import find_root
from github_banners.errors import (
    BannersError,
    ContributionsHidden,
    NoContributions,
    TokenRequired,
    UnknownRepository,
    UnknownUser,
    UserNotServed,
)
from github_banners.options import (
    COLOURS,
    MAX_SHOWN_NUMBERS,
    PALETTES,
    Layout,
    ShownNumber,
    ignored_options,
    parse_options_leniently,
)
from github_banners.options.palettes import FAMILIES

# The keys of the words that explain what GitHub does not have, by the error of the API.
_REASONS: dict[type[BannersError], str] = {
    UnknownUser: "unknown_user",
    UserNotServed: "not_served",
    UnknownRepository: "unknown_repository",
    ContributionsHidden: "hidden_contributions",
    NoContributions: "no_contributions",
    TokenRequired: "no_token",
}


@cache
def page_data(locale: str, *, public_url: str | None) -> str:
    """Return the data as JSON, for a language of the page and PUBLIC_URL."""
    words = read_words(locale)
    data = msgspec.json.encode(
        {
            "origin": _origin(public_url) if public_url else "",
            "base": base_path_from_url(public_url),
            "words": {**words["live"], "readme_greeting": words["page"]["readme_greeting"]},
            "reasons": {error.public_message: word for error, word in _REASONS.items()},
            "sample": SAMPLE.owner.display_name,
            "sampleLogin": SAMPLE.owner.login,
            "sampleRepo": SAMPLE_REPOSITORY.name,
            "labels": {"username": words["page"]["login"], "layout": words["page"]["layout"]},
            "families": [[_palette_row(name) for name in family] for family in FAMILIES],
            "parts": [*COLOURS.values()],
            "sizes": {layout.value: canvas_size(layout.value) for layout in Layout},
            "tallCard": canvas_size(Layout.CARD.value, tuple(ShownNumber)),
            "limits": {layout.value: limit for layout, limit in MAX_SHOWN_NUMBERS.items()},
            "ignored": {layout.value: " ".join(ignored_options(layout)) for layout in Layout},
        }
    )
    # In a script element nothing is escaped, but its end must not occur.
    return data.decode().replace("<", "\\u003c")


@cache
def canvas_size(layout: str, show: tuple[ShownNumber, ...] = ()) -> tuple[int, int]:
    """Return the width and height of a banner with these numbers; without a valid layout `classic`."""
    options = parse_options_leniently({"layout": layout, "show": [*show]})
    root = find_root(draw(SAMPLE, options))
    assert root is not None
    return int(root[1]), int(root[2])


def _palette_row(name: str) -> str:
    """Return the name of a palette and its colours in the order of `COLOURS`."""
    return " ".join([name, *(getattr(PALETTES[name], part) for part in COLOURS.values())])


def _origin(url: str) -> str:
    """Return the scheme and host of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
