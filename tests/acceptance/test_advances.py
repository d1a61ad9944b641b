"""
No character is wider than the calculated width in any installed font.

Characters that are wider than their class are listed in `drawing/character_widths.txt`, as well as all
letters of the alphabets below, whose class is too coarse. They are measured here:
`ADVANCES=rewrite pytest tests/acceptance/test_advances.py` regenerates the file. Every seventh
character is measured; `SOAK=long`, which `make soak` sets, measures all.
"""

import importlib
import math
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from github_banners.drawing import character_widths, text
from github_banners.drawing.png_text import FONTS, REPLACEMENT_CHARACTER
from tests.acceptance.chromium import IN_A_BROWSER
from tests.long_form import IS_LONG
from tests.unit.drawing.truetype import Font

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = IN_A_BROWSER

FILE = files("github_banners.drawing") / "character_widths.txt"
# Widths are rounded up to a multiple of it, so that adjacent characters share a line; those of
# alphabets to a smaller one.
STEP, FINE_STEP = 20, 5
# Alphabets whose letters have a width each: Greek and Cyrillic; and alphabets that only one of the
# families may cover, whose widths get a margin of a tenth.
REWRITES = os.environ.get("ADVANCES") == "rewrite"
# Odd, because the capitals of many alphabets have even codes.
SAMPLE_STEP = 1 if IS_LONG or REWRITES else 7
COMMON = (range(0x370, 0x530),)
SINGLE = (
    *(range(0x531, 0x590), range(0x5D0, 0x5F5)),  # Armenian, Hebrew
    *(range(0x600, 0x700), range(0x750, 0x780), range(0x8A0, 0x8C8)),  # Arabic
    *(range(0x900, 0xE00), range(0xE00, 0xF00)),  # Indic scripts, Thai and Lao
    *(range(0x1000, 0x1100), range(0x1200, 0x1380)),  # Burmese and Georgian, Ethiopic
    *(range(0x1780, 0x1800), range(0x1C90, 0x1CC0)),  # Khmer, Georgian capitals
)
MARGIN = 1.1
FOLLOWERS = "بدهیمن"  # each stands for letters of its shape
PNG_FONTS = [
    Font(Path(str(FONTS / f"BannersSans-{character}.ttf"))) for character in ("Regular", "SemiBold")
]
# Ideographs and syllables, which are as wide as high.
SQUARE = (range(0x4E00, 0xA000), range(0xAC00, 0xD7A4), range(0x17000, 0x18D00))
MEASURE = """
([lists, font]) => {
  const context = document.createElement('canvas').getContext('2d')
  context.font = font
  const measure = string => string ? context.measureText(string).width : 0
  return lists.map(strings => strings.map(measure))
}
"""


def characters() -> list[str]:
    """Return the characters to measure: those with a width that a name may contain, except emoji."""
    codes = [*range(0xA0, 0xD800), *range(0xE000, 0xFFFE), *range(0x10000, 0x1F000)]
    return [
        character
        for character in map(chr, codes[::SAMPLE_STEP])
        if (unicodedata.category(character)[0] in "LNPS" or is_sign(character))
        and text.sanitize(character) == character
        and not is_in(SQUARE, character)
    ]


def is_in(blocks: Sequence[range], character: str) -> bool:
    return any(ord(character) in block for block in blocks)


def is_sign(character: str) -> bool:
    """Return whether this is a spacing mark; without a letter it is drawn with a dotted circle."""
    return unicodedata.category(character) == "Mc" and is_in(SINGLE, character)


def letter_before(sign: str) -> str:
    """Return the letter ka of the sign's script."""
    script = unicodedata.name(sign).partition(" ")[0]
    ka = "ALPAPRAANA KAYANNA" if script == "SINHALA" else "KA"
    return unicodedata.lookup(f"{script} LETTER {ka}")


def measured(page: "Page", families: list[str], strings: list[str]) -> dict[str, tuple[float, ...]]:
    """Return the largest advance over all families in hundredths of an em, at weight 400 and 600."""
    weights = []
    for weight in (400, 600):
        letters = [
            letter_before(character) if len(character) == 1 and is_sign(character) else ""
            for character in strings
        ]
        joined = [letter + character for letter, character in zip(letters, strings, strict=True)]
        names = [
            character if character == "sans-serif" else f"'{character}', sans-serif"
            for character in families
        ]
        fonts = [f"{weight} 100px {name}" for name in names]
        widths = [
            [
                joined_width - separate_width
                for joined_width, separate_width in zip(
                    *page.evaluate(MEASURE, [[joined, letters], font]),
                    strict=True,
                )
            ]
            for font in fonts
        ]
        weights.append([max(column) for column in zip(*widths, strict=True)])
    return dict(zip(strings, zip(*weights, strict=True), strict=True))


def inside(page: "Page", families: list[str]) -> dict[str, tuple[float, ...]]:
    """Measure Arabic letters that are joined to the character after them."""
    letters = [
        character
        for character in characters()
        if re.match(f"[{character_widths.JOINING_LETTERS}]", character) and is_in(SINGLE, character)
    ]
    separate_width, two, three = (
        measured(page, families, [letter * times for letter in letters]) for times in (1, 2, 3)
    )
    ends = measured(page, families, list(FOLLOWERS))
    pairs = {
        end: measured(page, families, [character + end for character in letters])
        for end in FOLLOWERS
    }
    return {
        character: tuple(
            max(
                three[character * 3][weight] - two[character * 2][weight],
                two[character * 2][weight] - separate_width[character][weight],
                *(pairs[end][character + end][weight] - ends[end][weight] for end in FOLLOWERS),
            )
            for weight in (0, 1)
        )
        for character in letters
    }


def test_character_width_in_browser_is_at_most_the_calculated_width(
    page: "Page", families: list[str]
) -> None:
    separate_width, joined = measured(page, families, characters()), inside(page, families)
    if REWRITES:
        _rewrite(separate_width, joined)
    assert [
        character
        for character, widths in separate_width.items()
        if is_wider(widths, calculated_widths(character))
    ] == []
    calculated = {
        character: [
            pair - single
            for pair, single in zip(
                calculated_widths(character * 2), calculated_widths(character), strict=True
            )
        ]
        for character in joined
    }
    assert [
        character for character, widths in joined.items() if is_wider(widths, calculated[character])
    ] == []


WORDS = (
    *("بء", "عبء", "دفء", "شيء", "شيء شيء شيء شيء", "موسىٰ", "عيسىٰ", "هد", "هی", "لا", "الله"),
    *("محمد", "بدهیم", "خانه", "گفتگو", "پیشرفته", "سسسس", "صضصض", "ككك", "قفقف", "مؤمن"),
)


def test_word_width_in_browser_is_at_most_the_calculated_width(
    page: "Page", families: list[str]
) -> None:
    widths = measured(page, families, list(WORDS))
    assert [word for word in WORDS if is_wider(widths[word], calculated_widths(word))] == []


def calculated_widths(string: str) -> list[float]:
    """Return the width that is reserved for a text at size 100, regular and bold."""
    return [text.width(string, 100, bold=bold) for bold in (False, True)]


def is_wider(widths: Sequence[float], calculated: Sequence[float]) -> bool:
    """Return whether either weight is wider; differences below the measuring error do not count."""
    return any(width > have + 0.01 for width, have in zip(widths, calculated, strict=True))


def _rewrite(
    separate_width: dict[str, tuple[float, ...]], joined: dict[str, tuple[float, ...]]
) -> None:
    """Write the characters that differ from their class, as runs; unused characters join runs."""
    _write("")
    needs = [
        (ord(character), _both(character, widths)) for character, widths in separate_width.items()
    ]
    needs += [
        (ord(character) + character_widths.JOINED_FORM_OFFSET, _both(character, widths))
        for character, widths in joined.items()
    ]
    runs: list[tuple[int, int, str]] = []
    for code, needed in needs:
        first = runs.pop()[0] if runs and runs[-1][2] == needed else code
        runs.append((first, code, needed))
    lines = defaultdict(list)
    for first, last, needed in runs:
        lines[needed].append(f"{first:x}" if first == last else f"{first:x}-{last:x}")
    del lines["0/0"]
    _write("".join(f"{needed} {' '.join(widths)}\n" for needed, widths in sorted(lines.items())))


def _both(character: str, widths: Sequence[float]) -> str:
    return "/".join(
        str(_needed(character, width, have, font))
        for width, have, font in zip(widths, calculated_widths(character), PNG_FONTS, strict=True)
    )


def _needed(character: str, width: float, have: float, font: Font) -> int:
    """Return the width that a character needs, rounded up; 0 if the width of its class is enough."""
    if is_in((*COMMON, *SINGLE), character):
        # PNGs use the bundled font, which has a box for missing glyphs.
        in_png = 100 * font.advance(
            character if ord(character) in font.glyphs else REPLACEMENT_CHARACTER
        )
        most = max(width * (MARGIN if is_in(SINGLE, character) else 1), in_png)
        return math.ceil(most / text.SAFETY_FACTOR / FINE_STEP) * FINE_STEP
    return math.ceil(width / text.SAFETY_FACTOR / STEP) * STEP if width > have else 0


def _write(content: str) -> None:
    Path(str(FILE)).write_text(content, encoding="ascii")
    importlib.reload(character_widths)  # it caches widths
    importlib.reload(text)  # it holds the caches of the module above
