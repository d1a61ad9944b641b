"""Record batches as another client of Kafka could write them, byte by byte."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka.record.default_records import (  # type: ignore[import-untyped]
    _DefaultRecordBatchBuilderPy,
)

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
CODECS = (GZIP, SNAPPY, LZ4, ZSTD)


@dataclass(frozen=True)
class Message:
    """A record to write; header names are bytes, so that they may be invalid UTF-8."""

    value: bytes | None
    key: bytes | None = b"k"
    headers: Sequence[tuple[bytes, bytes | None]] = ()


class _Name(str):
    """A header name of any bytes, for a builder that encodes it."""

    __slots__ = ("raw",)
    raw: bytes

    def encode(self, *_: object) -> bytes:
        return self.raw


def build_batch(messages: Sequence[Message], *, codec: int = 0, base_offset: int = 0) -> bytes:
    """Build a record batch with ascending offsets and timestamps."""
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 40,
    )
    for number, message in enumerate(messages):
        headers = [(_name(name), value) for name, value in message.headers]
        builder.append(number, 1000 + number, message.key, message.value, headers)
    batch = bytearray(builder.build())
    batch[:8] = base_offset.to_bytes(8, "big")  # set by the broker, and not part of the checksum
    return bytes(batch)


def _name(raw: bytes) -> _Name:
    name = _Name()
    name.raw = raw
    return name
