"""
`docs/gallery.md` shows what is drawn: every layout, and every type on one sheet, of an invented user.

`GALLERY=rewrite pytest tests/golden/test_gallery.py` writes it anew, as `make docs` does.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace

from github_banners.drawing import draw
from github_banners.github.client import GitHubClient
from github_banners.github.credentials import create_accounts
from github_banners.models import Snapshot
from github_banners.options import BannerOptions, ChartType, Layout, Locale, Theme
from github_banners.settings import Token
from github_banners.stats.aggregation import aggregate
from github_sandbox import create_app

DOCS = Path(__file__).parents[2] / "docs"
LOGIN = "mia-maintains"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LAYOUTS = {
    "classic": BannerOptions(),
    "card": BannerOptions(layout=Layout.CARD),
    "languages": BannerOptions(layout=Layout.LANGUAGES),
    "donut": BannerOptions(layout=Layout.LANGUAGES, shape=ChartType.DONUT),
    "compact": BannerOptions(layout=Layout.COMPACT),
}
LOCALES = {
    "japanese": BannerOptions(locale=Locale.JA),
    "arabic": BannerOptions(locale=Locale.AR),
}
PLAIN = [theme for theme in Theme if not theme.value.startswith("auto")]
COLUMNS = 3

HEAD = """# Gallery

All pictures show `mia-maintains`, a generated user of the fake GitHub; `make demo` serves the same pictures. This page is written by `make docs`.

Each picture is `/banners/preview?username=...` with the options above it and `animate=false`. Every theme works with every layout.

## Layouts
"""
LANGUAGES = """
## Languages

`locale` sets the language of texts, numbers and dates. Banners in right-to-left languages are mirrored, and so are banners that show a name in such a script.
"""
THEMES = """
## Themes

`type=auto` puts `default` and `dark` into one file, and the reader's system selects between them. `type=auto-NAME` does the same for each of the other pairs.

"""


async def fetch() -> Snapshot:
    """Ask the sandbox, as the service asks GitHub."""
    app: Any = create_app()
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport) as http:
        github = GitHubClient(
            http,
            api_url="http://sandbox",
            accounts=create_accounts([Token("ghp_gallery")]),
            timeout=timedelta(seconds=10),
            clock=lambda: NOW,
        )
        portfolio = await github.fetch(LOGIN)
    return Snapshot(portfolio.owner, aggregate(portfolio.repositories), portfolio.fetched_at)


def pictures(snapshot: Snapshot) -> Iterator[tuple[str, bytes]]:
    """Draw all of it, still: dozens that move at once please nobody."""
    for name, look in (LAYOUTS | LOCALES).items():
        for theme in (Theme.DEFAULT, Theme.DARK):
            body = draw(snapshot, _still(look, theme))
            yield f"gallery/{name}-{theme}.svg", body
    for theme in PLAIN:
        yield f"gallery/types/{theme}.svg", draw(snapshot, _still(LAYOUTS["card"], theme))


def _still(look: BannerOptions, theme: Theme) -> BannerOptions:
    return replace(look, theme=theme, animate=False)


def page() -> str:
    """Write the page that shows the pictures."""
    layouts = "".join(_shown(name, _options(look)) for name, look in LAYOUTS.items())
    locales = "".join(_shown(name, f"locale={look.locale}") for name, look in LOCALES.items())
    return HEAD + layouts + LANGUAGES + locales + THEMES + _sheet(PLAIN)


def _options(look: BannerOptions) -> str:
    return f"layout={look.layout}" + (f"&shape={look.shape}" if look.shape != ChartType.BAR else "")


def _shown(name: str, options: str) -> str:
    source = f'<source media="(prefers-color-scheme: dark)" srcset="gallery/{name}-dark.svg">'
    image = f'<img alt="{name}" src="gallery/{name}-default.svg">'
    return f"\n`{options}`\n\n<picture>\n  {source}\n  {image}\n</picture>\n"


def _sheet(themes: Sequence[Theme]) -> str:
    rows = [themes[first : first + COLUMNS] for first in range(0, len(themes), COLUMNS)]
    cells = ["".join(map(_cell, row)) for row in rows]
    return "<table>\n" + "".join(f"<tr>\n{row}</tr>\n" for row in cells) + "</table>\n"


def _cell(theme: Theme) -> str:
    image = f'<img width="270" alt="{theme}" src="gallery/types/{theme}.svg">'
    return f"<td>{image}<br><code>{theme}</code></td>\n"


async def test_the_gallery_shows_what_is_drawn() -> None:
    drawn = dict(pictures(await fetch()))
    drawn["gallery.md"] = page().encode()
    if os.environ.get("GALLERY") == "rewrite":
        _write(drawn)
    kept = {name: _read(name) for name in drawn}
    stale = [name for name, body in drawn.items() if kept[name] != body]
    assert stale == [], "run `make docs`, and look at the pictures"
    shown = {str(one.relative_to(DOCS)) for one in (DOCS / "gallery").rglob("*.svg")}
    assert shown == {name for name in drawn if name.endswith(".svg")}


def _write(drawn: dict[str, bytes]) -> None:
    for old in (DOCS / "gallery").rglob("*.svg"):
        old.unlink()
    for name, body in drawn.items():
        (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / name).write_bytes(body)


def _read(name: str) -> bytes | None:
    path = DOCS / name
    return path.read_bytes() if path.exists() else None


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_in_it(name: str) -> None:
    assert f"gallery/{name}-dark.svg" in page()
    assert {look.layout for look in LAYOUTS.values()} == set(Layout)
    assert {look.shape for look in LAYOUTS.values()} == set(ChartType)
