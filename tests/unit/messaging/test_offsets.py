"""Which offset may be committed, in whatever order records are finished."""

from hypothesis import given
from hypothesis import strategies as st

from github_banners.messaging.offsets import OffsetTracker


def test_committable_no_records_is_none() -> None:
    offsets = OffsetTracker()
    assert (offsets.committable, offsets.unfinished) == (None, 0)


def test_committable_first_record_unfinished_is_none() -> None:
    offsets = OffsetTracker()
    offsets.begin(10)
    assert (offsets.committable, offsets.unfinished) == (None, 1)


def test_committable_waits_for_the_lowest_unfinished() -> None:
    offsets = OffsetTracker()
    for offset in (10, 11, 12):
        offsets.begin(offset)
    offsets.finish(12)
    offsets.finish(11)
    assert (offsets.committable, offsets.unfinished) == (None, 1)
    offsets.finish(10)
    assert (offsets.committable, offsets.unfinished) == (13, 0)


def test_committable_already_committed_is_none() -> None:
    offsets = OffsetTracker()
    offsets.begin(0)
    offsets.begin(1)
    offsets.finish(0)
    offsets.mark_committed(1)
    before = offsets.committable
    offsets.finish(1)
    assert (before, offsets.committable) == (None, 2)


def test_committable_gaps_are_skipped() -> None:
    offsets = OffsetTracker()
    for offset in (5, 900, 10**12):
        offsets.begin(offset)
    offsets.finish(5)
    assert offsets.committable == 900
    offsets.finish(900)
    offsets.finish(10**12)
    assert offsets.committable == 10**12 + 1


def test_finish_twice_counts_once() -> None:
    offsets = OffsetTracker()
    offsets.begin(0)
    offsets.begin(1)
    offsets.finish(0)
    offsets.finish(0)
    assert offsets.unfinished == 1


def test_mark_committed_lower_offset_changes_nothing() -> None:
    offsets = OffsetTracker()
    for offset in range(3):
        offsets.begin(offset)
        offsets.finish(offset)
    offsets.mark_committed(3)
    offsets.mark_committed(1)
    assert offsets.committable is None


def test_is_new_offset_below_the_highest_is_false() -> None:
    offsets = OffsetTracker()
    assert offsets.is_new(0)
    offsets.begin(7)
    assert [offsets.is_new(offset) for offset in (0, 7, 8, 20)] == [False, False, True, True]


@given(st.sets(st.integers(0, 10**15), min_size=1, max_size=60), st.data())
def test_committable_any_steps_never_pass_an_unfinished_offset(
    chosen: set[int], data: st.DataObject
) -> None:
    offsets, to_begin = OffsetTracker(), sorted(chosen)
    unfinished: set[int] = set()
    committed = to_begin[0]
    while to_begin or unfinished:
        choices = [name for name, items in (("begin", to_begin), ("finish", unfinished)) if items]
        step = data.draw(st.sampled_from([*choices, "commit"]))
        if step == "begin":
            unfinished.add(to_begin[0])
            offsets.begin(to_begin.pop(0))
        elif step == "finish":
            done = data.draw(st.sampled_from(sorted(unfinished)))
            unfinished.remove(done)
            offsets.finish(done)
        elif (due := offsets.committable) is not None:
            assert due > committed
            assert all(due <= offset for offset in (*unfinished, *to_begin))
            committed = due
            offsets.mark_committed(due)
        assert offsets.unfinished == len(unfinished)
    assert max(committed, offsets.committable or 0) == max(chosen) + 1
