import colorsys
import json
from importlib.resources import files

import pytest

from github_banners.drawing.colours import contrast, is_dark, normalise_hex, readable

LANGUAGES: dict[str, str] = json.loads(
    (files("github_banners.drawing") / "language_colours.json").read_text()
)


def test_contrast():
    assert contrast("ffffff", "000000") == pytest.approx(21)
    assert contrast("777777", "777777") == pytest.approx(1)
    assert contrast("1f2328", "ffffff") == pytest.approx(15.8, abs=0.05)


def test_the_table_knows_every_language_by_a_hex_colour():
    assert len(LANGUAGES) > 600
    assert all(len(normalise_hex(colour)) == 6 for colour in LANGUAGES.values())


@pytest.mark.parametrize(("ground", "touched"), [("ffffff", 103), ("0d1117", 63)])
def test_only_weak_colours_are_moved_and_all_of_them_far_enough(ground, touched):
    colours = set(LANGUAGES.values())
    moved = {one: readable(one, ground, 1.8) for one in colours}
    assert sum(one != other for one, other in moved.items()) == touched
    assert all(contrast(other, ground) >= 1.8 for other in moved.values())


@pytest.mark.parametrize("least", [1.8, 3.0])
def test_a_colour_can_suit_both_grounds(least):
    for colour in LANGUAGES.values():
        both = readable(readable(colour, "ffffff", least), "0d1117", least)
        assert contrast(both, "ffffff") >= least
        assert contrast(both, "0d1117") >= least


def test_lightness_moves_and_hue_stays():
    def hue(colour: str) -> float:
        red, green, blue = bytes.fromhex(colour)
        return colorsys.rgb_to_hls(red / 255, green / 255, blue / 255)[0]

    assert hue(readable("f1e05a", "ffffff", 1.8)) == pytest.approx(hue("f1e05a"), abs=0.02)
    assert hue(readable("000080", "0d1117", 3)) == pytest.approx(hue("000080"), abs=0.06)


def test_is_dark():
    assert is_dark("0d1117")
    assert not is_dark("fbf1c7")


@pytest.mark.parametrize(
    ("given_digits", "full"),
    [("abc", "aabbcc"), ("abcd", "aabbccdd"), ("abcf", "aabbcc"), ("12345680", "12345680")],
)
def test_six_digits(given_digits, full):
    assert normalise_hex(given_digits) == full


def test_what_is_no_hex_is_no_colour():
    with pytest.raises(ValueError, match="invalid literal"):
        normalise_hex("red;}")
