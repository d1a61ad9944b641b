"""Lenient parsing of record batches that aiokafka refuses."""

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
THREE_MESSAGES = [
    Message(b"one", headers=[(b"a", b"\xff")]),
    Message(None, key=None),
    Message(b"three"),
]
_HEADER_BYTES = 61


def read(data: bytes, *, offset: int = 0, max_records: int = 1000) -> ReadResult:
    return read_batches(data, topic="t", partition=2, offset=offset, max_records=max_records)


def with_checksum(batch: bytearray) -> bytes:
    """Write the right checksum into a changed batch."""
    batch[17:21] = calc_crc32c(bytes(batch[21:])).to_bytes(4, "big")
    return bytes(batch)


def values(result: ReadResult) -> list[tuple[int, bytes]]:
    return [(record.offset, record.value) for record in result.records]


@pytest.mark.parametrize("codec", [0, *CODECS])
def test_read_batches_any_codec_returns_the_records(codec: int) -> None:
    many = [Message(b"m" * 100)] * 50
    result = read(build_batch([*THREE_MESSAGES, *many], codec=codec, base_offset=7), offset=7)
    assert values(result)[:3] == [(7, b"one"), (8, b""), (9, b"three")]
    assert (len(result.records), result.next_offset) == (53, 60)
    first = result.records[0]
    assert (first.key, first.headers, first.timestamp_ms) == (b"k", (("a", b"\xff"),), 1000)
    assert (first.topic, first.partition, first.problem) == ("t", 2, "")


def test_read_batches_from_an_offset_stops_at_the_limit() -> None:
    data = build_batch(THREE_MESSAGES, base_offset=7) + build_batch(THREE_MESSAGES, base_offset=20)
    result = read(data, offset=8, max_records=2)
    assert values(result) == [(8, b""), (9, b"three")]
    assert result.next_offset == 10
    assert values(read(data, offset=10, max_records=1)) == [(20, b"one")]
    assert read(data, offset=23) == ReadResult([], 23)


def test_read_batches_header_name_not_utf8_is_escaped() -> None:
    invalid = Message(b"invalid", headers=[(b"\xff\x00", None)])
    result = read(build_batch([THREE_MESSAGES[0], invalid, THREE_MESSAGES[2]]))
    assert values(result) == [(0, b"one"), (1, b"invalid"), (2, b"three")]
    assert result.records[1].headers == (("\\xff\x00", b""),)


def test_read_batches_incomplete_last_batch_is_left_for_later() -> None:
    data = build_batch(THREE_MESSAGES) + build_batch(THREE_MESSAGES, base_offset=3)[:-1]
    assert read(data).next_offset == 3
    assert read(b"") == ReadResult([], 0)


@pytest.mark.parametrize("codec", CODECS)
def test_read_batches_decompression_bomb_is_one_record_with_a_problem(codec: int) -> None:
    bomb = build_batch([Message(BLANKS), Message(b"2")], codec=codec)
    result = read(bomb + build_batch(THREE_MESSAGES, base_offset=2))
    assert [record.offset for record in result.records] == [1, 2, 3, 4]
    undecodable = result.records[0]
    assert undecodable.problem.startswith("a batch of 2 records can't be decoded from offset 0 on")
    assert undecodable.value == bomb[_HEADER_BYTES:]


def test_read_batches_unknown_codec_or_old_format_is_one_record_with_a_problem() -> None:
    batch = bytearray(build_batch(THREE_MESSAGES))
    batch[22] = 7
    assert "KeyError" in read(with_checksum(batch)).records[0].problem
    batch[16] = 1
    result = read(with_checksum(batch) + build_batch(THREE_MESSAGES, base_offset=1))
    assert [bool(record.problem) for record in result.records] == [True, False, False, False]


def test_read_batches_control_batch_is_skipped() -> None:
    batch = bytearray(build_batch(THREE_MESSAGES))
    batch[22] |= 0x20
    assert read(with_checksum(batch)) == ReadResult([], 3)


@given(data=st.data())
def test_read_batches_any_bytes_return_ascending_offsets(data: st.DataObject) -> None:
    batch = bytearray(build_batch(THREE_MESSAGES))
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(8, len(batch) - 1))
        batch[position] = data.draw(st.integers(0, 255))
    offsets = [record.offset for record in read(with_checksum(batch)).records]
    assert offsets == sorted(set(offsets))


@pytest.mark.parametrize("codec", CODECS)
def test_limit_decompression_bomb_is_refused_by_aiokafka(codec: int) -> None:
    limit_decompression()
    (record,) = MemoryRecords(build_batch([Message(BLANKS[:1000])], codec=codec)).next_batch()
    assert record.value == BLANKS[:1000]
    batch = MemoryRecords(build_batch([Message(BLANKS)], codec=codec)).next_batch()
    with pytest.raises(Exception, match=r"decompresses to more|whole buffer"):
        list(batch)


def test_snappy_decoder_reads_one_block_and_refuses_blocks_without_a_size() -> None:
    import cramjam  # noqa: PLC0415 - as other clients write it

    assert DECODERS["snappy"](bytes(cramjam.snappy.compress_raw(b"abc"))) == b"abc"
    header = struct.pack("!bccccccBii", -126, *(b"%c" % byte for byte in b"SNAPPY"), 0, 1, 1)
    with pytest.raises(MalformedMessage):
        DECODERS["snappy"](header + struct.pack("!i", 0))


def test_read_batches_endless_varint_is_one_record_with_a_problem() -> None:
    batch = bytearray(build_batch([Message(b"x" * 30)]))
    batch[_HEADER_BYTES + 1 :] = b"\xff" * (len(batch) - _HEADER_BYTES - 1)
    (record,) = read(with_checksum(batch)).records
    assert "more than ten bytes" in record.problem


def test_read_batches_record_with_a_wrong_length_keeps_its_bytes() -> None:
    batch = bytearray(build_batch([Message(b"abc"), Message(b"next")]))
    batch[_HEADER_BYTES + 6] = 100  # the length of the value
    invalid, following = read(with_checksum(batch)).records
    assert (invalid.offset, invalid.problem) == (
        0,
        "can't be decoded: ValueError: 50 bytes, but only 4 are left",
    )
    assert b"abc" in invalid.value
    assert (following.value, following.problem) == (b"next", "")
