from collections.abc import Sequence

import pytest

from github_banners.drawing.languages import Share, ranked
from github_banners.drawing.legend import Legend, flow, longest
from github_banners.drawing.text import width
from github_banners.drawing.themes import scheme
from github_banners.look import Look

SHARES = [Share("Ruby", "701516", 3, 0.75), Share("Go", "00add8", 1, 0.25)]


def test_items_flow():
    first, second = flow(SHARES, x=32, room=782, baselines=(159,), size=14, locale="en") or []
    assert (first.name, first.percent, first.dot_x, first.dot_y) == ("Ruby", "75%", 37, 154)
    step = 0.77 * 14 + 7 + 0.88 * width("Ruby 75%", 14) + 18
    assert second.dot_x == round(32 + step + 0.37 * 14)


def test_items_wrap_by_their_full_width_until_the_rows_are_used_up():
    room = 0.77 * 14 + 7 + width("Ruby 75%", 14) + 1
    rows = flow(SHARES, x=32, room=room, baselines=(178, 199), size=14, locale="en") or []
    assert [(item.dot_x, item.dot_y) for item in rows] == [(37, 173), (37, 194)]
    assert flow(SHARES, x=32, room=room, baselines=(178,), size=14, locale="en") is None


def test_fewer_are_shown_until_they_have_room():
    ranking = ranked({f"L{at}": 1 for at in range(6)}, scheme=scheme(Look()), other="Other")
    tried: list[int] = []

    def lay(shown: Sequence[Share]) -> None:
        tried.append(len(shown))

    assert longest(ranking, 6, lay) == Legend((), ())
    assert tried == [6, 5, 4, 3, 2, 1]
    lone = ranked({"C": 1}, scheme=scheme(Look()), other="Other")
    assert longest(lone, 6, lay) == Legend((), ())


def test_an_endless_name_is_cut():
    share = Share("m" * 60, "000000", 1, 1.0)
    (item,) = flow([share], x=32, room=782, baselines=(159,), size=14, locale="en") or []
    assert item.name.endswith("m…")


def test_a_name_that_turns_direction_is_isolated():
    (item,) = (
        flow(
            [Share("عربي", "000000", 1, 1.0)],
            x=32,
            room=782,
            baselines=(159,),
            size=14,
            locale="en",
        )
        or []
    )
    assert item.name == "\u2068عربي\u2069"


def test_after_a_long_name_the_next_item_starts_where_the_widest_font_ends():
    long = Share("Mathematical Programming System", "000000", 1, 0.5)
    first, second = (
        flow([long, SHARES[1]], x=0, room=782, baselines=(159,), size=14, locale="en") or []
    )
    lead = 0.77 * 14 + 7
    assert second.dot_x - first.dot_x >= lead + width(f"{first.name} 50%", 14) / 1.03 + 4


@pytest.mark.parametrize("locale", ["en", "tr", "hi"])
def test_flow_exactly_enough_room_is_not_rejected_early(locale):
    shares = [Share(f"Language {number}", "000000", 1, 0.25) for number in range(4)]
    wide = flow(shares, x=0, room=2000, baselines=(159,), size=14, locale=locale)
    assert wide
    last = wide[-1].dot_x - 0.37 * 14
    room = last + 0.77 * 14 + 7 + width(f"{wide[-1].name} {wide[-1].percent}", 14)
    assert flow(shares, x=0, room=room + 1, baselines=(159,), size=14, locale=locale) == wide
    assert flow(shares, x=0, room=room - 2, baselines=(159,), size=14, locale=locale) is None
