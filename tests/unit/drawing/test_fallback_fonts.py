"""Font files are found by what they cover, in a fixed order; broken ones are skipped."""

import struct
from pathlib import Path

import pytest

from github_banners.drawing.fallback_fonts import WORDS_FOLDER, FallbackFonts
from tests.unit.drawing.truetype import Font

SEGMENTS, GROUPS = 4, 12


def character_map(first: int, last: int, *, table_format: int) -> bytes:
    """Return a `cmap` table that covers a range of characters, and U+FFFF with glyph 0."""
    if table_format == GROUPS:
        body = struct.pack(">HHIII", 12, 0, 28, 0, 1) + struct.pack(">III", first, last, 1)
    else:
        # Two segments: the range, whose glyphs begin at 1, and the last one.
        columns = [(last, 0xFFFF), (), (first, 0xFFFF), ((1 - first) & 0xFFFF, 1), (0, 0)]
        numbers = [number for column in columns for number in (column or (0,))]
        body = struct.pack(">7H", 4, 32, 0, 4, 4, 1, 0) + struct.pack(f">{len(numbers)}H", *numbers)
    return struct.pack(">HHHHI", 0, 1, 3, 10 if table_format == GROUPS else 1, 12) + body


def names(family: str) -> bytes:
    text = family.encode("utf-16-be")
    return struct.pack(">HHH6H", 0, 1, 18, 3, 1, 0x409, 1, len(text), 0) + text


def font(
    family: str, first: str, last: str, *, table_format: int = SEGMENTS, offset: int = 0
) -> bytes:
    """Return a font file without glyphs, for a place `at` bytes from the beginning of a file."""
    tables = {
        b"cmap": character_map(ord(first), ord(last), table_format=table_format),
        b"name": names(family),
    }
    offset = offset + 12 + 16 * len(tables)
    directory, content = struct.pack(">IHHHH", 0x10000, len(tables), 0, 0, 0), b""
    for tag, table in tables.items():
        directory += struct.pack(">4sIII", tag, 0, offset + len(content), len(table))
        content += table
    return directory + content


def collection(*families: str) -> bytes:
    header_size = 12 + 4 * len(families)
    faces: list[bytes] = []
    offsets = []
    for family in families:
        offsets.append(header_size + len(b"".join(faces)))
        faces.append(font(family, "一", "龥", offset=offsets[-1]))
    header = struct.pack(">4sII", b"ttcf", 0x10000, len(families))
    return header + struct.pack(f">{len(offsets)}I", *offsets) + b"".join(faces)


@pytest.mark.parametrize("table_format", [SEGMENTS, GROUPS])
def test_find_covers_exactly_the_range(tmp_path, table_format):
    (tmp_path / "a.ttf").write_bytes(font("A", "ا", "ي", table_format=table_format))
    fonts = FallbackFonts([str(tmp_path)])
    for text in ("ا", "ي", "لي", "\u2067ل\u200cي\u2069"):
        assert fonts.find(text) is not None
    for text in (chr(ord("ا") - 1), chr(ord("ي") + 1), "ل x", "\uffff", "😀"):
        assert fonts.find(text) is None


@pytest.mark.parametrize("script", ["Arabic", "Hebrew", "Devanagari"])
def test_covers_equals_character_map_of_real_fonts(script):
    path = Path(WORDS_FOLDER) / f"BannersWords{script}-Regular.ttf"
    glyphs = Font(path).glyphs
    (font_file,) = [
        font_file
        for font_file in FallbackFonts([WORDS_FOLDER]).all_files()
        if font_file.path == path
    ]
    invisible = {*range(0x200B, 0x2010), *range(0x2060, 0x206A), 0xFE0E, 0xFE0F}
    covered = {code for code in range(0x20, 0xFFFF) if font_file.covers(chr(code))}
    assert covered - invisible == {code for code in glyphs if glyphs[code]} - invisible - {0xFFFF}


def test_find_prefers_plain_styles_of_noto_sans(tmp_path):
    names_in_order = [
        "NotoSansArabic-Regular.ttf",
        "NotoNaskhArabic-Regular.ttf",
        "Amiri-Regular.ttf",
        "NotoSansArabicUI-Regular.ttf",
        "NotoKufiArabic-Regular.ttf",
    ]
    folder = tmp_path / "truetype" / "arabic"
    folder.mkdir(parents=True)
    for name in names_in_order:
        (folder / name).write_bytes(font(name, "ا", "ي"))
    for name in names_in_order:
        font_file = FallbackFonts([str(tmp_path)]).find("ل")
        assert font_file is not None
        assert font_file.path.name == name
        font_file.path.unlink()
    assert FallbackFonts([str(tmp_path)]).find("ل") is None


def test_find_folders_are_searched_in_order(tmp_path):
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    (folders[1] / "a.ttf").write_bytes(font("Second", "ا", "ي"))
    paths = [str(tmp_path / "missing"), *map(str, folders)]
    font_file = FallbackFonts(paths).find("ل")
    assert font_file is not None
    assert font_file.families == ["Second"]
    (folders[0] / "z.ttf").write_bytes(font("First", "ا", "ي"))
    font_file = FallbackFonts(paths).find("ل")
    assert font_file is not None
    assert font_file.families == ["First"]


def test_paths_include_bold_style(tmp_path):
    for name in ("A-Regular.ttf", "A-Bold.ttf"):
        (tmp_path / name).write_bytes(font("A", "ا", "ي"))
    font_file = FallbackFonts([str(tmp_path)]).find("ل")
    assert font_file is not None
    assert [Path(path).name for path in font_file.paths] == ["A-Regular.ttf", "A-Bold.ttf"]


def test_family_of_collection_is_that_of_the_region(tmp_path):
    (tmp_path / "cjk.ttc").write_bytes(collection("Noto CJK JP", "Noto CJK KR", "Noto CJK SC"))
    font_file = FallbackFonts([str(tmp_path)]).find("语")
    assert font_file is not None
    assert [font_file.family(region) for region in ("JP", "SC", "HK")] == [
        "Noto CJK JP",
        "Noto CJK SC",
        "Noto CJK JP",
    ]


def test_find_broken_files_are_skipped(tmp_path):
    complete = font("Broken", "ا", "ي")
    for size in range(0, len(complete) - len(names("Broken")), 7):
        (tmp_path / f"a{size:03}.ttf").write_bytes(complete[:size])
    (tmp_path / "b.ttf").write_bytes(font("'quoted'", "ا", "ي"))
    (tmp_path / "c.ttc").write_bytes(b"ttcf" + b"\xff" * 8)
    (tmp_path / "d.ttf").mkdir()
    (tmp_path / "e.txt").write_bytes(complete)
    assert FallbackFonts([str(tmp_path)]).find("ل") is None
    (tmp_path / "z.ttf").write_bytes(font("Whole", "ا", "ي"))
    font_file = FallbackFonts([str(tmp_path)]).find("ل")
    assert font_file is not None
    assert font_file.families == ["Whole"]
