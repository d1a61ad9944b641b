from collections.abc import Sequence

import pytest

from github_banners.drawing.language_charts import (
    Legend,
    Share,
    fit_legend,
    flow_rows,
    rank_languages,
)
from github_banners.drawing.text import width
from github_banners.drawing.themes import scheme
from github_banners.options import BannerOptions

SHARES = [Share("Ruby", "701516", 3, 0.75, "75%"), Share("Go", "00add8", 1, 0.25, "25%")]


def test_flow_rows_places_items_side_by_side():
    first, second = flow_rows(x=32, room=782, baselines=(159,), size=14, locale="en")(SHARES) or []
    assert (first.name, first.percent, first.dot_x, first.dot_y) == ("Ruby", "75%", 37, 154)
    step = 0.77 * 14 + 7 + 0.88 * width("Ruby 75%", 14) + 18
    assert second.dot_x == round(32 + step + 0.37 * 14)


def test_flow_rows_wraps_by_full_width_until_rows_run_out():
    room = 0.77 * 14 + 7 + width("Ruby 75%", 14) + 1
    rows = flow_rows(x=32, room=room, baselines=(178, 199), size=14, locale="en")(SHARES) or []
    assert [(item.dot_x, item.dot_y) for item in rows] == [(37, 173), (37, 194)]
    assert flow_rows(x=32, room=room, baselines=(178,), size=14, locale="en")(SHARES) is None


def test_fit_legend_tries_fewer_until_they_fit():
    ranking = rank_languages(
        {f"L{index}": 1 for index in range(6)}, scheme=scheme(BannerOptions()), other_label="Other"
    )
    tried: list[int] = []

    def place_items(shares: Sequence[Share]) -> None:
        tried.append(len(shares))

    assert fit_legend(ranking, 6, place_items) == Legend((), ())
    assert tried == [6, 5, 4, 3, 2, 1]
    single = rank_languages({"C": 1}, scheme=scheme(BannerOptions()), other_label="Other")
    assert fit_legend(single, 6, place_items) == Legend((), ())


def test_flow_rows_long_name_is_truncated():
    share = Share("m" * 60, "000000", 1, 1.0, "100%")
    (item,) = flow_rows(x=32, room=782, baselines=(159,), size=14, locale="en")([share]) or []
    assert item.name.endswith("m…")


def test_flow_rows_right_to_left_name_is_isolated():
    (item,) = (
        flow_rows(x=32, room=782, baselines=(159,), size=14, locale="en")(
            [Share("عربي", "000000", 1, 1.0, "100%")]
        )
        or []
    )
    assert item.name == "\u2068عربي\u2069"


def test_flow_rows_long_name_keeps_its_full_width():
    long = Share("Mathematical Programming System", "000000", 1, 0.5, "50%")
    first, second = (
        flow_rows(x=0, room=782, baselines=(159,), size=14, locale="en")([long, SHARES[1]]) or []
    )
    lead = 0.77 * 14 + 7
    assert second.dot_x - first.dot_x >= lead + width(f"{first.name} 50%", 14) / 1.03 + 4


@pytest.mark.parametrize("locale", ["en", "tr", "hi"])
def test_flow_rows_exact_room_is_enough(locale):
    shares = [Share(f"Language {number}", "000000", 1, 0.25, "25%") for number in range(4)]
    items = flow_rows(x=0, room=2000, baselines=(159,), size=14, locale=locale)(shares)
    assert items
    last = items[-1].dot_x - 0.37 * 14
    room = last + 0.77 * 14 + 7 + width(f"{items[-1].name} {items[-1].percent}", 14)
    assert flow_rows(x=0, room=room + 1, baselines=(159,), size=14, locale=locale)(shares) == items
    assert flow_rows(x=0, room=room - 2, baselines=(159,), size=14, locale=locale)(shares) is None


def test_fit_legend_with_unlisted_languages_shortens_one_at_a_time():
    ranking = rank_languages(
        {f"L{index}": 1 for index in range(3)},
        scheme=scheme(BannerOptions()),
        other_label="Other",
        unlisted=5,
    )
    tried: list[list[str]] = []

    def place_items(shares: Sequence[Share]) -> None:
        tried.append([share.name for share in shares])

    assert fit_legend(ranking, 5, place_items) == Legend((), ())
    assert tried == [
        ["L0", "L1", "L2", "Other"],
        ["L0", "L1", "Other"],
        ["L0", "Other"],
        ["Other"],
    ]
