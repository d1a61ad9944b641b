"""
Make the fonts in `drawing/fonts/words/`: subsets of Noto Sans with the characters of our own words.

They need the fonts of Debian's packages fonts-noto-core and fonts-noto-cjk, and fonttools 4, which
is no dependency of the project. After a translation has got new characters, a test fails; then run:

    .venv/bin/pip install --target build/fonttools fonttools
    PYTHONPATH=build/fonttools .venv/bin/python scripts/make_word_fonts.py
"""

from datetime import date
from importlib.resources import files
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

from github_banners.drawing.fallback_fonts import WORDS_FOLDER
from github_banners.drawing.locales import (
    LOCALES,
    Noun,
    format_count,
    format_day,
    format_full_date,
    format_percent,
    format_short_count,
    format_wait,
    month_names,
    weekday_names,
)
from github_banners.drawing.png_text import is_covered

NOTO = Path("/usr/share/fonts/truetype/noto")
NOTO_CJK = Path("/usr/share/fonts/opentype/noto")
INDIC = "nukt akhn rphf rkrf half blwf vatu cjct abvm blwm"
# Name, source, face, first and last character, OpenType features. The face of a collection is the
# Simplified Chinese one, whose forms of common characters are read everywhere.
SUBSETS = (
    (
        "Arabic",
        NOTO / "NotoSansArabic-Regular.ttf",
        0,
        0x600,
        0x6FF,
        "ccmp isol init medi fina rlig mark mkmk",
    ),
    ("Hebrew", NOTO / "NotoSansHebrew-Regular.ttf", 0, 0x590, 0x5FF, "ccmp"),
    ("Devanagari", NOTO / "NotoSansDevanagari-Regular.ttf", 0, 0x900, 0x97F, INDIC),
    ("CJK", NOTO_CJK / "NotoSansCJK-Regular.ttc", 2, 0x2E80, 0xFFEF, ""),
)
NUMBERS = (0, 1, 2, 3, 5, 11, 12_345, 123_456, 1_234_567, 1_234_567_890, 123_456_789_012)
COPYRIGHT, LICENCE, LICENCE_URL = 0, 13, 14


def own_characters() -> set[int]:
    """Return the code points of our words, numbers and dates that the other fonts do not cover."""
    texts = []
    for locale in LOCALES:
        catalog = files("github_banners.drawing.locales") / "catalogs" / f"{locale}.toml"
        lines = catalog.read_text(encoding="utf-8").splitlines()
        texts += [line for line in lines if not line.startswith("#")]
        for month in range(1, 13):
            day = date(2026, month, 28)
            texts += [format_day(day, locale), format_full_date(day, locale)]
        texts += month_names(locale)
        texts += [name for names in weekday_names(locale) for name in names]
        for number in NUMBERS:
            texts += [format_count(noun, number, locale) for noun in Noun]
            texts += [format_short_count(noun, number, locale) for noun in Noun]
        texts += [format_percent(f"<{percent}%", locale) for percent in range(101)]
        texts += [text for seconds in (1, 40, 60, 300) for text in format_wait(seconds, locale)]
    return {ord(character) for character in "".join(texts) if not is_covered(character)}


def make_subset(
    script: str, source: Path, face: int, codes: set[int], *, features: str, folder: Path
) -> None:
    """Write a subset; "Noto" and "Source" are trademarks of others, so it has a name of its own."""
    font = TTFont(source, fontNumber=face)
    options = Options(layout_features=features.split(), hinting=False, notdef_outline=True)
    options.drop_tables += ["STAT", "DSIG", "gasp", "prep", "meta", "vhea", "vmtx", "VORG", "BASE"]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=codes)
    subsetter.subset(font)
    names = font["name"]
    names.names = [
        record
        for record in names.names
        if record.nameID in {COPYRIGHT, LICENCE, LICENCE_URL} and record.platformID == 3
    ]
    file_name = f"BannersWords{script}-Regular"
    texts = {
        1: f"Banners Words {script}",
        2: "Regular",
        3: f"github-banners;{file_name}",
        4: f"Banners Words {script}",
        5: "Version 1.000",
        6: file_name,
    }
    for number, text in texts.items():
        names.setName(text, number, 3, 1, 0x409)
    if "CFF " in font:
        outlines = font["CFF "].cff
        outlines.fontNames = [file_name]
        outlines.topDictIndex[0].FullName = texts[4]
        outlines.topDictIndex[0].FamilyName = texts[1]
    font.save(folder / f"{file_name}{source.suffix.replace('ttc', 'otf')}")


def main() -> None:
    """Write all subsets."""
    own = own_characters()
    folder = Path(WORDS_FOLDER)
    folder.mkdir(exist_ok=True)
    for script, source, face, first, last, features in SUBSETS:
        codes = {code for code in own if first <= code <= last} | {0x20, 0x200C, 0x200D}
        make_subset(script, source, face, codes, features=features, folder=folder)


if __name__ == "__main__":
    main()
