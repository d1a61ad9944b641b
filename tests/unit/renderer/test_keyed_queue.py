"""Whose turn it is."""

from hypothesis import given
from hypothesis import strategies as st

from github_banners.renderer.keyed_queue import KeyedQueue


def taken(lines: KeyedQueue[str]) -> list[str]:
    found = []
    while lines.has_ready:
        found.append(lines.pop())
    return found


def test_keys_take_turns_and_one_thing_of_a_key_is_at_work() -> None:
    lines: KeyedQueue[str] = KeyedQueue()
    for thing in ("a1", "a2", "b1", "a3"):
        lines.put(thing[0], thing)
    assert taken(lines) == ["a1", "b1"]
    lines.release("a")
    assert taken(lines) == ["a2"]
    lines.release("b")
    assert taken(lines) == []
    lines.release("a")
    assert taken(lines) == ["a3"]


def test_what_comes_while_its_key_is_at_work_waits() -> None:
    lines: KeyedQueue[str] = KeyedQueue()
    lines.put("a", "a1")
    assert lines.pop() == "a1"
    lines.put("a", "a2")
    assert not lines.has_ready
    lines.release("a")
    assert lines.pop() == "a2"


def test_who_is_dropped_is_not_taken_and_who_works_is_not_disturbed() -> None:
    lines: KeyedQueue[str] = KeyedQueue()
    for thing in ("a1", "b1", "b2", "c1", "a2", "a3"):
        lines.put(thing[0], thing)
    assert lines.pop() == "a1"
    lines.drop(lambda thing: thing in {"a2", "b1", "c1"})
    assert taken(lines) == ["b2"]
    lines.release("a")
    assert taken(lines) == ["a3"]


@given(st.lists(st.sampled_from(["put a", "put b", "put c", "take", "free"]), max_size=60))
def test_order_within_a_key_whatever_happens(steps: list[str]) -> None:
    lines: KeyedQueue[tuple[str, int]] = KeyedQueue()
    at_work: list[str] = []
    put, done = 0, []
    for step in [*steps, *["take", "free"] * len(steps)]:
        if step.startswith("put"):
            lines.put(step[-1], (step[-1], put))
            put += 1
        elif step == "take" and lines.has_ready:
            thing = lines.pop()
            assert thing[0] not in at_work
            at_work.append(thing[0])
            done.append(thing)
        elif step == "free" and at_work:
            lines.release(at_work.pop(0))
    while at_work or lines.has_ready:
        if lines.has_ready:
            at_work.append((thing := lines.pop())[0])
            done.append(thing)
        else:
            lines.release(at_work.pop(0))
    assert len(done) == put
    for key in "abc":
        numbers = [number for name, number in done if name == key]
        assert numbers == sorted(numbers)
