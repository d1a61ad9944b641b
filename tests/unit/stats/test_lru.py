"""Bounded in bytes, whatever is done to it."""

from collections import OrderedDict

from hypothesis import given, settings
from hypothesis import strategies as st

from github_banners.stats.lru import ENTRY_BYTES, ByteBoundedLru

LIMIT_BYTES = 3_000
KEYS = st.integers(0, 9)
OPERATIONS = st.lists(
    st.tuples(st.just("put"), KEYS, st.binary(max_size=40).map(lambda one: one * 80))
    | st.tuples(st.sampled_from(["get", "drop"]), KEYS, st.just(b"")),
    max_size=60,
)


def size(entry: bytes) -> int:
    return len(entry) + ENTRY_BYTES


def put_by_hand(entries: OrderedDict[int, bytes], key: int, entry: bytes) -> None:
    entries.pop(key, None)
    if size(entry) <= LIMIT_BYTES:
        entries[key] = entry
    while sum(map(size, entries.values())) > LIMIT_BYTES:
        entries.popitem(last=False)


@settings(deadline=None, max_examples=300)
@given(operations=OPERATIONS)
def test_lru_under_any_operations_equals_a_bounded_map(
    operations: list[tuple[str, int, bytes]],
) -> None:
    memory: ByteBoundedLru[int, bytes] = ByteBoundedLru(
        LIMIT_BYTES, entry_bytes=lambda _, one: len(one)
    )
    expected: OrderedDict[int, bytes] = OrderedDict()
    for operation, key, entry in operations:
        if operation == "put":
            memory.put(key, entry)
            put_by_hand(expected, key, entry)
        elif operation == "drop":
            memory.drop(key)
            expected.pop(key, None)
        else:
            assert memory.get(key) == expected.get(key)
            if key in expected:
                expected.move_to_end(key)
        assert memory.used_bytes == sum(map(size, expected.values())) <= LIMIT_BYTES
        assert len(memory) == len(expected)
    assert {key: memory.get(key) for key in range(10)} == {
        key: expected.get(key) for key in range(10)
    }


def test_get_marks_entry_as_recently_used() -> None:
    memory: ByteBoundedLru[str, bytes] = ByteBoundedLru(
        3 * ENTRY_BYTES, entry_bytes=lambda _, one: len(one)
    )
    for key in ("a", "b", "c"):
        memory.put(key, b"")
    assert memory.get("a") == b""
    memory.put("d", b"")
    assert [key for key in "abcd" if memory.get(key) is not None] == ["a", "c", "d"]


def test_put_above_the_limit_stores_and_evicts_nothing() -> None:
    memory: ByteBoundedLru[str, bytes] = ByteBoundedLru(
        2 * ENTRY_BYTES, entry_bytes=lambda _, one: len(one)
    )
    memory.put("a", b"")
    memory.put("b", b"x" * (ENTRY_BYTES + 1))
    assert (memory.get("a"), memory.get("b")) == (b"", None)
    memory.put("a", b"x" * (ENTRY_BYTES + 1))
    assert memory.get("a") is None
    assert memory.used_bytes == 0


def test_put_twice_counts_entry_once() -> None:
    memory: ByteBoundedLru[str, bytes] = ByteBoundedLru(1_000, entry_bytes=lambda _, one: len(one))
    for length in (500, 100, 700):
        memory.put("a", b"x" * length)
        assert memory.used_bytes == length + ENTRY_BYTES
    memory.drop("a")
    memory.drop("never there")
    assert (len(memory), memory.used_bytes) == (0, 0)


def test_get_falsy_entry_returns_it() -> None:
    memory: ByteBoundedLru[str, int] = ByteBoundedLru(1_000, entry_bytes=lambda *_: 0)
    memory.put("a", 0)
    assert memory.get("a") == 0
    memory.drop("a")
    assert memory.get("a") is None
