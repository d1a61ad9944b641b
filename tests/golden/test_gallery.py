"""
Compare the pictures of the documentation, and the pages that show them, with what is drawn.

`docs/gallery.md` shows every layout and every type, `docs/http-api.md` every option.

`GALLERY=rewrite pytest tests/golden/test_gallery.py` rewrites them, as `make docs` does.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace

from github_banners import render_once
from github_banners.drawing import draw
from github_banners.github.client import GitHubClient
from github_banners.github.credentials import create_accounts
from github_banners.models import Snapshot
from github_banners.options import (
    OPTIONS,
    BannerOptions,
    ChartType,
    Layout,
    Locale,
    ShownNumber,
    Theme,
    parse_options,
    to_canonical_json,
)
from github_banners.settings import Token
from github_sandbox import create_app

DOCS = Path(__file__).parents[2] / "docs"
LOGIN = "mia-maintains"
REPOSITORY = "simple-kernel"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LAYOUTS = {
    "classic": BannerOptions(),
    "card": BannerOptions(layout=Layout.CARD),
    "languages": BannerOptions(layout=Layout.LANGUAGES),
    "donut": BannerOptions(layout=Layout.LANGUAGES, shape=ChartType.DONUT),
    "compact": BannerOptions(layout=Layout.COMPACT),
    "activity": BannerOptions(layout=Layout.ACTIVITY),
    "repository": BannerOptions(layout=Layout.REPOSITORY, repo=REPOSITORY),
    "six-numbers": BannerOptions(
        layout=Layout.CARD,
        show=(
            ShownNumber.STARS,
            ShownNumber.FOLLOWERS,
            ShownNumber.COMMITS,
            ShownNumber.PULL_REQUESTS,
            ShownNumber.ISSUES,
            ShownNumber.REVIEWS,
        ),
    ),
}
LOCALES = {
    "japanese": BannerOptions(locale=Locale.JA),
    "arabic": BannerOptions(locale=Locale.AR),
}
EXAMPLES = {
    "type": "layout=card&type=tide",
    "layout": "layout=compact",
    "shape": "layout=languages&shape=donut",
    "count_by": "layout=card&count_by=bytes",
    "show": "layout=card&show=commits,reviews,followers",
    "hide": "layout=card&hide=forks,languages",
    "hide_langs": "layout=card&hide_langs=TypeScript",
    "exclude_repos": f"layout=card&exclude_repos={REPOSITORY}",
    "include": "layout=card&include=archived,forks",
    "repo": f"layout=repository&repo={REPOSITORY}",
    "langs_count": "layout=card&langs_count=2",
    "title": "layout=card&title=Open source",
    "locale": "layout=card&locale=de",
    "number_format": "layout=card&show=commits,stars,forks&number_format=long",
    "radius": "layout=card&radius=20",
    "border": "layout=card&border=false",
    "animate": "layout=card&animate=true",
    "bg_color": "layout=card&bg_color=fff4e0",
    "title_color": "layout=card&title_color=b03060",
    "text_color": "layout=card&text_color=7a3e00",
    "muted_color": "layout=card&muted_color=006d77",
    "accent_color": "layout=card&accent_color=c2185b",
    "border_color": "layout=card&border_color=c2185b",
}
"""A query for each option, whose picture shows what it does."""

EXAMPLE_OPTIONS = {
    f"options/{name}": parse_options(dict(part.split("=") for part in query.split("&")))
    for name, query in EXAMPLES.items()
}
PLAIN = [theme for theme in Theme if not theme.value.startswith("auto")]
COLUMNS = 3
_OPTIONS_SECTION = re.compile(
    r"(?<=written by `make docs` -->\n)(.*?)(?=<!-- end of pictures -->)", re.DOTALL
)

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


async def fetch() -> dict[str, Snapshot]:
    """Fetch what each picture shows from the sandbox, as the command `render` does."""
    app: Any = create_app(clock=lambda: NOW)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport) as http:
        github = GitHubClient(
            http,
            api_url="http://sandbox",
            accounts=create_accounts([Token("ghp_gallery")]),
            timeout=timedelta(seconds=10),
            clock=lambda: NOW,
        )
        return {
            name: await render_once.fetch_snapshot(github, LOGIN, options, clock=lambda: NOW)
            for name, options in (LAYOUTS | LOCALES | EXAMPLE_OPTIONS).items()
        }


def pictures(snapshots: Mapping[str, Snapshot]) -> Iterator[tuple[str, bytes]]:
    """Draw all pictures of the gallery without animation."""
    for name, options in (LAYOUTS | LOCALES).items():
        for theme in (Theme.DEFAULT, Theme.DARK):
            body = draw(snapshots[name], _still(options, theme))
            yield f"gallery/{name}-{theme}.svg", body
    for name, options in EXAMPLE_OPTIONS.items():
        animate = name == "options/animate"
        yield f"gallery/{name}.svg", draw(snapshots[name], replace(options, animate=animate))
    for theme in PLAIN:
        yield f"gallery/types/{theme}.svg", draw(snapshots["card"], _still(LAYOUTS["card"], theme))


def _still(options: BannerOptions, theme: Theme) -> BannerOptions:
    return replace(options, theme=theme, animate=False)


def page() -> str:
    """Return the Markdown page that shows the pictures."""
    layouts = "".join(_shown(name, _options(options)) for name, options in LAYOUTS.items())
    locales = "".join(_shown(name, f"locale={options.locale}") for name, options in LOCALES.items())
    return HEAD + layouts + LANGUAGES + locales + THEMES + _sheet(PLAIN)


def _options(options: BannerOptions) -> str:
    chosen = json.loads(to_canonical_json(options))
    values = {"layout": options.layout.value, **chosen}
    texts = {
        name: ",".join(value) if isinstance(value, list) else value
        for name, value in values.items()
    }
    return "&".join(f"{name}={text}" for name, text in texts.items())


def _shown(name: str, options: str) -> str:
    source = f'<source media="(prefers-color-scheme: dark)" srcset="gallery/{name}-dark.svg">'
    image = f'<img alt="{name}" src="gallery/{name}-default.svg">'
    return f"\n`{options}`\n\n<picture>\n  {source}\n  {image}\n</picture>\n"


def option_pictures() -> str:
    """Return the table of `docs/http-api.md` with a picture for each option."""
    cells = [
        f'<td><img width="270" alt="{name}" src="gallery/options/{name}.svg">'
        f"<br><code>{query.replace('&', '&amp;')}</code></td>\n"
        for name, query in EXAMPLES.items()
    ]
    return _table(cells)


def _sheet(themes: Sequence[Theme]) -> str:
    return _table([_cell(theme) for theme in themes])


def _table(cells: Sequence[str]) -> str:
    rows = ["".join(cells[first : first + COLUMNS]) for first in range(0, len(cells), COLUMNS)]
    return "<table>\n" + "".join(f"<tr>\n{row}</tr>\n" for row in rows) + "</table>\n"


def _cell(theme: Theme) -> str:
    image = f'<img width="270" alt="{theme}" src="gallery/types/{theme}.svg">'
    return f"<td>{image}<br><code>{theme}</code></td>\n"


async def test_gallery_equals_what_is_drawn() -> None:
    drawn = dict(pictures(await fetch()))
    drawn["gallery.md"] = page().encode()
    before, _, after = _OPTIONS_SECTION.split(_text("http-api.md"))
    drawn["http-api.md"] = f"{before}\n{option_pictures()}\n{after}".encode()
    if os.environ.get("GALLERY") == "rewrite":
        _write(drawn)
    stored = {name: _read(name) for name in drawn}
    stale = [name for name, body in drawn.items() if stored[name] != body]
    assert stale == [], "run `make docs`, and look at the pictures"
    shown = {str(path.relative_to(DOCS)) for path in (DOCS / "gallery").rglob("*.svg")}
    assert shown == {name for name in drawn if name.endswith(".svg")}


def _write(drawn: dict[str, bytes]) -> None:
    for old in (DOCS / "gallery").rglob("*.svg"):
        old.unlink()
    for name, body in drawn.items():
        (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / name).write_bytes(body)


def _text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _read(name: str) -> bytes | None:
    path = DOCS / name
    return path.read_bytes() if path.exists() else None


@pytest.mark.parametrize("name", LAYOUTS)
def test_gallery_has_every_layout(name: str) -> None:
    assert f"gallery/{name}-dark.svg" in page()
    assert {options.layout for options in LAYOUTS.values()} == set(Layout)
    assert {options.shape for options in LAYOUTS.values()} == set(ChartType)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_a_picture(name: str) -> None:
    assert f"{name}=" in EXAMPLES[name]
