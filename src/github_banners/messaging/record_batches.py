"""
Parse Kafka record batches leniently, for those that aiokafka can't decode. Pure.

aiokafka decodes a batch as a whole and header names strictly as UTF-8, so one invalid byte hides all
records of the batch, and the consumer would fail on it for ever. Here each record is parsed alone; a
record that can't be parsed keeps its offset and raw bytes, and has the reason in `problem`.
https://kafka.apache.org/documentation/#recordbatch
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from aiokafka.record.util import calc_crc32c  # type: ignore[import-untyped]

from github_banners.messaging.decompression import DECODERS
from github_banners.messaging.events import Headers, Record

# Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and highest
# timestamp, producer id and epoch, base sequence, number of records.
_HEADER = struct.Struct(">qiibIhiqqqhii")
_PREFIX = struct.Struct(">qi")
_CHECKSUM_START = 21  # it covers everything behind it
_MAGIC = 2
_CODECS = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
_CODEC_MASK, _APPEND_TIME_FLAG, _CONTROL_FLAG = 0x07, 0x08, 0x20
_MAX_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class ReadResult:
    """Records in ascending order of offsets, and the next offset to read."""

    records: list[Record]
    next_offset: int


@dataclass(frozen=True, slots=True)
class _Batch:
    """The header of a batch, and the raw bytes of its records."""

    topic: str
    partition: int
    base_offset: int
    last_offset: int
    attributes: int
    first_timestamp_ms: int
    max_timestamp_ms: int
    count: int
    payload: bytes
    is_damaged: bool

    def to_unreadable_record(self, error: Exception, *, offset: int) -> Record:
        """Return one record, at the last offset, for all records of the batch from an offset on."""
        problem = f"a batch of {self.count} records can't be decoded from offset {offset} on"
        return Record(
            topic=self.topic,
            partition=self.partition,
            offset=self.last_offset,
            key=None,
            value=self.payload,
            timestamp_ms=self.max_timestamp_ms,
            problem=f"{problem}: {_describe(error)}",
        )


def read_batches(
    data: bytes, *, topic: str, partition: int, offset: int, max_records: int
) -> ReadResult:
    """
    Parse at most `max_records` records from an offset on in the response of a broker.

    A batch that can't be decompressed becomes one record with a `problem` at its last offset.
    """
    records: list[Record] = []
    next_offset = offset
    for batch in _split(data, topic=topic, partition=partition):
        if batch.last_offset < next_offset:
            continue
        if not batch.attributes & _CONTROL_FLAG:
            for record in _parse_records(batch):
                if record.offset < next_offset:
                    continue
                if len(records) == max_records:
                    return ReadResult(records, next_offset)
                records.append(record)
                next_offset = record.offset + 1
        next_offset = batch.last_offset + 1
    return ReadResult(records, next_offset)


def _split(data: bytes, *, topic: str, partition: int) -> Iterator[_Batch]:
    """Split a response into batches; an incomplete last one is ignored, and fetched again."""
    position = 0
    while len(data) - position >= _HEADER.size:
        base_offset, length, _, magic, checksum, *fields = _HEADER.unpack_from(data, position)
        end = position + _PREFIX.size + length
        if end > len(data):
            return
        if magic != _MAGIC or end < position + _HEADER.size:
            # The format before Kafka 0.11, which brokers convert; only its offset is known.
            fields, end = [_CODEC_MASK, 0, 0, 0, 0, 0, 0, 1], max(end, position + _PREFIX.size)
        attributes, last_delta, first_timestamp_ms, max_timestamp_ms, _, _, _, count = fields
        yield _Batch(
            topic=topic,
            partition=partition,
            base_offset=base_offset,
            last_offset=base_offset + max(0, last_delta),
            attributes=attributes,
            first_timestamp_ms=first_timestamp_ms,
            max_timestamp_ms=max_timestamp_ms,
            count=count,
            payload=data[position + _HEADER.size : end],
            is_damaged=calc_crc32c(data[position + _CHECKSUM_START : end]) != checksum,
        )
        position = end


def _parse_records(batch: _Batch) -> Iterator[Record]:
    next_offset = batch.base_offset
    try:
        payload = batch.payload
        if batch.is_damaged:
            raise ValueError("wrong checksum")  # noqa: TRY301 - like the decoders
        if codec := batch.attributes & _CODEC_MASK:
            payload = DECODERS[_CODECS[codec]](payload)
        position = 0
        for _ in range(batch.count):
            length, position = _read_varint(payload, position)
            end = position + length
            if not position < end <= len(payload):
                raise ValueError(f"a record of {length} bytes")  # noqa: TRY301 - like the decoders
            record = _parse_record(batch, payload[position:end])
            if not next_offset <= record.offset <= batch.last_offset:
                raise ValueError(f"offset {record.offset}")  # noqa: TRY301 - like the decoders
            yield record
            position, next_offset = end, record.offset + 1
    except Exception as error:  # noqa: BLE001 - decoders may raise anything on invalid bytes
        if next_offset <= batch.last_offset:
            yield batch.to_unreadable_record(error, offset=next_offset)


def _parse_record(batch: _Batch, raw: bytes) -> Record:
    """Parse a record; if only its offset can be read, its value is the raw record."""
    delta_ms, position = _read_varint(raw, 1)  # after the attributes, which are unused so far
    offset_delta, position = _read_varint(raw, position)
    is_append_time = batch.attributes & _APPEND_TIME_FLAG
    timestamp_ms = batch.max_timestamp_ms if is_append_time else batch.first_timestamp_ms + delta_ms
    offset = batch.base_offset + offset_delta
    key: bytes | None = None
    headers: Headers = ()
    value, problem = raw, ""
    try:
        key, position = _read_bytes(raw, position)
        body, position = _read_bytes(raw, position)
        headers = _read_headers(raw, position)
        value = body or b""
    except Exception as error:  # noqa: BLE001 - see above
        problem = f"can't be decoded: {_describe(error)}"
    return Record(
        topic=batch.topic,
        partition=batch.partition,
        offset=offset,
        key=key,
        value=value,
        headers=headers,
        timestamp_ms=timestamp_ms,
        problem=problem,
    )


def _read_headers(raw: bytes, position: int) -> Headers:
    count, position = _read_varint(raw, position)
    headers = []
    for _ in range(count):
        name, position = _read_bytes(raw, position)
        value, position = _read_bytes(raw, position)
        headers.append(((name or b"").decode(errors="backslashreplace"), value or b""))
    return tuple(headers)


def _read_bytes(raw: bytes, position: int) -> tuple[bytes | None, int]:
    length, position = _read_varint(raw, position)
    if length < 0:
        return None, position
    if position + length > len(raw):
        raise ValueError(f"{length} bytes, but only {len(raw) - position} are left")
    return raw[position : position + length], position + length


def _read_varint(raw: bytes, position: int) -> tuple[int, int]:
    """Read a zigzag-encoded integer of at most ten bytes; aiokafka's function reads past the end."""
    value = 0
    for shift in range(0, 70, 7):
        byte = raw[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), position
    raise ValueError("an integer of more than ten bytes")


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_MAX_SHOWN_CHARACTERS]
