"""
No character is wider than is reckoned with, in any of the installed fonts.

What is wider than its class stands in `drawing/wide_characters.txt`, which is measured here:
`ADVANCES=rewrite pytest tests/acceptance/test_advances.py` writes it anew.
"""

import math
import os
import unicodedata
from collections import defaultdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from github_banners.drawing import text
from github_banners.drawing.cleaning import clean
from tests.acceptance.chromium import IN_A_BROWSER

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = IN_A_BROWSER

FILE = files("github_banners.drawing") / "wide_characters.txt"
STEP = 20  # widths are rounded up to it, so that neighbours share a line
# Ideographs and syllables, all as wide as high.
SQUARE = (range(0x4E00, 0xA000), range(0xAC00, 0xD7A4), range(0x17000, 0x18D00))
MEASURE = """
([characters, font]) => {
  const context = document.createElement('canvas').getContext('2d')
  context.font = font
  return characters.map(one => context.measureText(one).width)
}
"""


def characters() -> list[str]:
    """All that a name can hold and that stands alone, up to the emoji, which have their class."""
    codes = [*range(0xA0, 0xD800), *range(0xE000, 0xFFFE), *range(0x10000, 0x1F000)]
    return [
        one
        for one in map(chr, codes)
        if unicodedata.category(one)[0] in "LNPS"
        and clean(one) == one
        and not any(ord(one) in block for block in SQUARE)
    ]


def measured(page: "Page", families: list[str], wanted: list[str]) -> dict[str, tuple[float, ...]]:
    """Give the largest advance in hundredths of an em, at weight 400 and 600."""
    weights = []
    for weight in (400, 600):
        names = [one if one == "sans-serif" else f"'{one}', sans-serif" for one in families]
        fonts = [f"{weight} 100px {name}" for name in names]
        widths = [page.evaluate(MEASURE, [wanted, font]) for font in fonts]
        weights.append([max(column) for column in zip(*widths, strict=True)])
    return dict(zip(wanted, zip(*weights, strict=True), strict=True))


def test_no_character_is_wider_than_is_reckoned(page: "Page", families: list[str]) -> None:
    widest = measured(page, families, characters())
    if os.environ.get("ADVANCES") == "rewrite":
        _rewrite(widest)
    too_wide = {
        f"U+{ord(one):04X}": (widths, text._advance(one))
        for one, widths in widest.items()
        if any(
            width > text._SAFETY * reckoned
            for width, reckoned in zip(widths, text._advance(one)[:2], strict=True)
        )
    }
    assert too_wide == {}


def _rewrite(widest: dict[str, tuple[float, ...]]) -> None:
    """Write what needs more than its class; a run may span what no name can hold."""
    _write("")
    runs: list[tuple[int, int, str]] = []
    for one, widths in widest.items():
        needed = "/".join(
            str(math.ceil(width / text._SAFETY / STEP) * STEP if width > text._SAFETY * have else 0)
            for width, have in zip(widths, text._advance(one)[:2], strict=True)
        )
        first = runs.pop()[0] if runs and runs[-1][2] == needed else ord(one)
        runs.append((first, ord(one), needed))
    lines = defaultdict(list)
    for first, last, needed in runs:
        lines[needed].append(f"{first:x}" if first == last else f"{first:x}-{last:x}")
    del lines["0/0"]
    _write("".join(f"{needed} {' '.join(found)}\n" for needed, found in sorted(lines.items())))


def _write(content: str) -> None:
    Path(str(FILE)).write_text(content, encoding="ascii")
    text._wide_characters.cache_clear()
    text._advance.cache_clear()
