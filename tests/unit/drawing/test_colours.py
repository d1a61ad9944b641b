import colorsys
import json
from importlib.resources import files

import pytest

from github_banners.drawing.colours import contrast, is_dark, normalise_hex, readable

LANGUAGES: dict[str, str] = json.loads(
    (files("github_banners.drawing") / "language_colours.json").read_text()
)


def test_contrast_equals_wcag_ratio():
    assert contrast("ffffff", "000000") == pytest.approx(21)
    assert contrast("777777", "777777") == pytest.approx(1)
    assert contrast("1f2328", "ffffff") == pytest.approx(15.8, abs=0.05)


def test_language_colours_are_all_hex():
    assert len(LANGUAGES) > 600
    assert all(len(normalise_hex(colour)) == 6 for colour in LANGUAGES.values())


@pytest.mark.parametrize(("background", "moved_count"), [("ffffff", 103), ("0d1117", 63)])
def test_readable_moves_only_weak_colours_and_far_enough(background, moved_count):
    colours = set(LANGUAGES.values())
    moved = {colour: readable(colour, background, 1.8) for colour in colours}
    assert sum(before != after for before, after in moved.items()) == moved_count
    assert all(contrast(colour, background) >= 1.8 for colour in moved.values())


@pytest.mark.parametrize("min_contrast", [1.8, 3.0])
def test_readable_on_light_then_dark_suits_both(min_contrast):
    for colour in LANGUAGES.values():
        both = readable(readable(colour, "ffffff", min_contrast), "0d1117", min_contrast)
        assert contrast(both, "ffffff") >= min_contrast
        assert contrast(both, "0d1117") >= min_contrast


def test_readable_keeps_hue():
    def hue(colour: str) -> float:
        red, green, blue = bytes.fromhex(colour)
        return colorsys.rgb_to_hls(red / 255, green / 255, blue / 255)[0]

    assert hue(readable("f1e05a", "ffffff", 1.8)) == pytest.approx(hue("f1e05a"), abs=0.02)
    assert hue(readable("000080", "0d1117", 3)) == pytest.approx(hue("000080"), abs=0.06)


def test_is_dark_compares_with_middle_luminance():
    assert is_dark("0d1117")
    assert not is_dark("fbf1c7")


@pytest.mark.parametrize(
    ("digits", "full"),
    [("abc", "aabbcc"), ("abcd", "aabbccdd"), ("abcf", "aabbcc"), ("12345680", "12345680")],
)
def test_normalise_hex_expands_short_forms(digits, full):
    assert normalise_hex(digits) == full


def test_normalise_hex_not_hex_raises():
    with pytest.raises(ValueError, match="invalid literal"):
        normalise_hex("red;}")
