"""What aiokafka refuses is read all the same, and what nobody can read keeps its place."""

import struct

import pytest
from aiokafka.record.memory_records import MemoryRecords  # type: ignore[import-untyped]
from aiokafka.record.util import calc_crc32c  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from github_banners.errors import MalformedMessage
from github_banners.messaging.decompression import (
    DECODERS,
    MAX_DECOMPRESSED_BYTES,
    limit_decompression,
)
from github_banners.messaging.record_batches import ReadResult, read_batches
from tests.unit.messaging.record_batch_samples import CODECS, Message, build_batch

BLANKS = b" " * (MAX_DECOMPRESSED_BYTES + 1)
THREE = [Message(b"one", headers=[(b"a", b"\xff")]), Message(None, key=None), Message(b"three")]
_HEADER_BYTES = 61


def read(data: bytes, *, offset: int = 0, max_records: int = 1000) -> ReadResult:
    return read_batches(data, topic="t", partition=2, offset=offset, max_records=max_records)


def checked(batch: bytearray) -> bytes:
    """Put the right checksum on a batch that was changed."""
    batch[17:21] = calc_crc32c(bytes(batch[21:])).to_bytes(4, "big")
    return bytes(batch)


def values(result: ReadResult) -> list[tuple[int, bytes]]:
    return [(record.offset, record.value) for record in result.records]


@pytest.mark.parametrize("codec", [0, *CODECS])
def test_read_batches_of_every_codec_returns_what_was_written(codec: int) -> None:
    many = [Message(b"m" * 100)] * 50
    result = read(build_batch([*THREE, *many], codec=codec, base_offset=7), offset=7)
    assert values(result)[:3] == [(7, b"one"), (8, b""), (9, b"three")]
    assert (len(result.records), result.next_offset) == (53, 60)
    first = result.records[0]
    assert (first.key, first.headers, first.timestamp_ms) == (b"k", (("a", b"\xff"),), 1000)
    assert (first.topic, first.partition, first.problem) == ("t", 2, "")


def test_read_batches_from_the_middle_up_to_a_limit_says_where_to_go_on() -> None:
    data = build_batch(THREE, base_offset=7) + build_batch(THREE, base_offset=20)
    result = read(data, offset=8, max_records=2)
    assert values(result) == [(8, b""), (9, b"three")]
    assert result.next_offset == 10
    assert values(read(data, offset=10, max_records=1)) == [(20, b"one")]
    assert read(data, offset=23) == ReadResult([], 23)


def test_read_batches_with_a_header_name_that_is_no_text_reads_its_neighbours_and_itself() -> None:
    odd = Message(b"odd", headers=[(b"\xff\x00", None)])
    result = read(build_batch([THREE[0], odd, THREE[2]]))
    assert values(result) == [(0, b"one"), (1, b"odd"), (2, b"three")]
    assert result.records[1].headers == (("\\xff\x00", b""),)


def test_read_batches_with_a_last_batch_that_is_cut_off_leaves_it_for_the_next_time() -> None:
    data = build_batch(THREE) + build_batch(THREE, base_offset=3)[:-1]
    assert read(data).next_offset == 3
    assert read(b"") == ReadResult([], 0)


@pytest.mark.parametrize("codec", CODECS)
def test_read_batches_with_a_bomb_keeps_its_place_and_goes_on(codec: int) -> None:
    bomb = build_batch([Message(BLANKS), Message(b"2")], codec=codec)
    result = read(bomb + build_batch(THREE, base_offset=2))
    assert [record.offset for record in result.records] == [1, 2, 3, 4]
    bad = result.records[0]
    assert bad.problem.startswith("a batch of 2 records can't be decoded from offset 0 on")
    assert bad.value == bomb[_HEADER_BYTES:]


def test_read_batches_with_an_unknown_codec_or_an_old_format_keeps_the_place() -> None:
    batch = bytearray(build_batch(THREE))
    batch[22] = 7
    assert "KeyError" in read(checked(batch)).records[0].problem
    batch[16] = 1
    result = read(checked(batch) + build_batch(THREE, base_offset=1))
    assert [bool(record.problem) for record in result.records] == [True, False, False, False]


def test_read_batches_skips_what_a_broker_writes_for_itself() -> None:
    batch = bytearray(build_batch(THREE))
    batch[22] |= 0x20
    assert read(checked(batch)) == ReadResult([], 3)


@given(data=st.data())
def test_read_batches_of_any_bytes_raises_nothing_and_rises(data: st.DataObject) -> None:
    batch = bytearray(build_batch(THREE))
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(8, len(batch) - 1))
        batch[position] = data.draw(st.integers(0, 255))
    offsets = [record.offset for record in read(checked(batch)).records]
    assert offsets == sorted(set(offsets))


@pytest.mark.parametrize("codec", CODECS)
def test_limit_decompression_refuses_a_bomb_in_aiokafka_itself(codec: int) -> None:
    limit_decompression()
    (record,) = MemoryRecords(build_batch([Message(BLANKS[:1000])], codec=codec)).next_batch()
    assert record.value == BLANKS[:1000]
    batch = MemoryRecords(build_batch([Message(BLANKS)], codec=codec)).next_batch()
    with pytest.raises(Exception, match=r"decompresses to more|whole buffer"):
        list(batch)


def test_snappy_in_one_block_and_in_blocks_without_a_size() -> None:
    import cramjam  # noqa: PLC0415 - as other clients write it

    assert DECODERS["snappy"](bytes(cramjam.snappy.compress_raw(b"abc"))) == b"abc"
    header = struct.pack("!bccccccBii", -126, *(b"%c" % byte for byte in b"SNAPPY"), 0, 1, 1)
    with pytest.raises(MalformedMessage):
        DECODERS["snappy"](header + struct.pack("!i", 0))


def test_read_batches_with_an_integer_without_an_end_keeps_the_place() -> None:
    batch = bytearray(build_batch([Message(b"x" * 30)]))
    batch[_HEADER_BYTES + 1 :] = b"\xff" * (len(batch) - _HEADER_BYTES - 1)
    (record,) = read(checked(batch)).records
    assert "more than ten bytes" in record.problem


def test_read_batches_with_a_record_that_is_shorter_than_it_says_keeps_its_bytes() -> None:
    batch = bytearray(build_batch([Message(b"abc"), Message(b"next")]))
    batch[_HEADER_BYTES + 6] = 100  # the length of the value
    odd, following = read(checked(batch)).records
    assert (odd.offset, odd.problem) == (
        0,
        "can't be decoded: ValueError: 50 bytes, but only 4 are left",
    )
    assert b"abc" in odd.value
    assert (following.value, following.problem) == (b"next", "")
