"""The LRU map, compared with a simple model, and the memo."""

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from github_banners.cache import ENTRY_BYTES, ByteBoundedLru, Memo

LIMIT_BYTES = 3_000
KEYS = st.integers(0, 9)
OPERATIONS = st.lists(
    st.tuples(st.just("put"), KEYS, st.binary(max_size=40).map(lambda entry: entry * 80))
    | st.tuples(st.sampled_from(["get", "drop"]), KEYS, st.just(b"")),
    max_size=60,
)


def size(entry: bytes) -> int:
    return len(entry) + ENTRY_BYTES


def put_in_model(entries: OrderedDict[int, bytes], key: int, entry: bytes) -> None:
    entries.pop(key, None)
    if size(entry) <= LIMIT_BYTES:
        entries[key] = entry
    while sum(map(size, entries.values())) > LIMIT_BYTES:
        entries.popitem(last=False)


@given(operations=OPERATIONS)
def test_lru_any_operations_equal_the_model(
    operations: list[tuple[str, int, bytes]],
) -> None:
    lru: ByteBoundedLru[int, bytes] = ByteBoundedLru(
        LIMIT_BYTES, entry_bytes=lambda _, entry: len(entry)
    )
    expected: OrderedDict[int, bytes] = OrderedDict()
    for operation, key, entry in operations:
        if operation == "put":
            lru.put(key, entry)
            put_in_model(expected, key, entry)
        elif operation == "drop":
            lru.drop(key)
            expected.pop(key, None)
        else:
            assert lru.get(key) == expected.get(key)
            if key in expected:
                expected.move_to_end(key)
        assert lru.used_bytes == sum(map(size, expected.values())) <= LIMIT_BYTES
        assert len(lru) == len(expected)
    assert {key: lru.get(key) for key in range(10)} == {key: expected.get(key) for key in range(10)}


def test_drop_where_removes_and_returns_what_matches() -> None:
    lru: ByteBoundedLru[int, str] = ByteBoundedLru(
        LIMIT_BYTES, entry_bytes=lambda _, entry: len(entry)
    )
    for key, entry in enumerate(("a", "bb", "ccc")):
        lru.put(key, entry)
    assert lru.drop_where(lambda key, entry: key == 0 or entry == "ccc") == ["a", "ccc"]
    assert [lru.get(key) for key in range(3)] == [None, "bb", None]
    assert lru.used_bytes == 2 + ENTRY_BYTES


def test_get_marks_entry_as_used() -> None:
    lru: ByteBoundedLru[str, bytes] = ByteBoundedLru(
        3 * ENTRY_BYTES, entry_bytes=lambda _, entry: len(entry)
    )
    for key in ("a", "b", "c"):
        lru.put(key, b"")
    assert lru.get("a") == b""
    lru.put("d", b"")
    assert [key for key in "abcd" if lru.get(key) is not None] == ["a", "c", "d"]


def test_put_too_large_entry_is_dropped_and_evicts_nothing() -> None:
    lru: ByteBoundedLru[str, bytes] = ByteBoundedLru(
        2 * ENTRY_BYTES, entry_bytes=lambda _, entry: len(entry)
    )
    lru.put("a", b"")
    lru.put("b", b"x" * (ENTRY_BYTES + 1))
    assert (lru.get("a"), lru.get("b")) == (b"", None)
    lru.put("a", b"x" * (ENTRY_BYTES + 1))
    assert lru.get("a") is None
    assert lru.used_bytes == 0


def test_put_existing_key_replaces_entry() -> None:
    lru: ByteBoundedLru[str, bytes] = ByteBoundedLru(1_000, entry_bytes=lambda _, entry: len(entry))
    for length in (500, 100, 700):
        lru.put("a", b"x" * length)
        assert lru.used_bytes == length + ENTRY_BYTES
    lru.drop("a")
    lru.drop("never there")
    assert (len(lru), lru.used_bytes) == (0, 0)


def test_get_falsy_entry_is_returned() -> None:
    lru: ByteBoundedLru[str, int] = ByteBoundedLru(1_000, entry_bytes=lambda *_: 0)
    lru.put("a", 0)
    assert lru.get("a") == 0
    lru.drop("a")
    assert lru.get("a") is None


def test_lru_oldest_is_the_least_recently_used() -> None:
    lru: ByteBoundedLru[str, int] = ByteBoundedLru(LIMIT_BYTES, entry_bytes=lambda *_: 1)
    assert lru.oldest() is None
    lru.put("a", 1)
    lru.put("b", 2)
    lru.get("a")
    assert lru.oldest() == ("b", 2)


def test_clear_leaves_room_for_new_entries() -> None:
    lru: ByteBoundedLru[str, bytes] = ByteBoundedLru(1_000, entry_bytes=lambda _, entry: len(entry))
    lru.put("a", bytes(700))
    lru.clear()
    assert (len(lru), lru.used_bytes, lru.get("a")) == (0, 0, None)
    lru.put("b", bytes(700))
    assert lru.get("b") == bytes(700)


def test_memo_repeated_argument_is_computed_once() -> None:
    computed: list[int] = []

    def square(number: int) -> int:
        computed.append(number)
        return number**2

    memo = Memo(square, max_size=2)
    assert [memo[number] for number in (2, 3, 2)] == [4, 9, 4]
    assert computed == [2, 3]
    assert memo[4] == 16
    assert dict(memo) == {4: 16}
