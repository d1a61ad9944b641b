"""
A limit for what a compressed record batch of Kafka unpacks to.

aiokafka unpacks a batch whole and without a limit: 1 MB of compressed blanks becomes 1 GB before
anything can look at a record. Its decoders can't be configured, so they are replaced by limited ones.
"""

import gzip
import io
import struct
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TypeAlias

import cramjam
from aiokafka.codec import _detect_xerial_stream  # type: ignore[import-untyped]

from github_banners.errors import MalformedMessage

MAX_UNPACKED_BYTES = 4 << 20
"""Of one batch. Clients collect at most 1 MB in a batch unless they are configured otherwise."""

Decoder: TypeAlias = Callable[[memoryview | bytes], bytes]

# Each imports the decoders by name; the last two replace the first two where they were compiled.
_MODULES = (
    "aiokafka.record.default_records",
    "aiokafka.record.legacy_records",
    "aiokafka.record._crecords.default_records",
    "aiokafka.record._crecords.legacy_records",
)
_XERIAL_HEADER_BYTES = 16


def limit_decompression() -> None:
    """Replace the decoders of aiokafka by limited ones, for the whole process."""
    for name in _MODULES:
        try:
            module = import_module(name)
        except ImportError:
            continue
        for codec, decode in DECODERS.items():
            if hasattr(module, f"{codec}_decode"):
                setattr(module, f"{codec}_decode", decode)


def _decode_gzip(packed: memoryview | bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        unpacked = file.read(MAX_UNPACKED_BYTES + 1)
    if len(unpacked) > MAX_UNPACKED_BYTES:
        raise MalformedMessage(f"unpacks to more than {MAX_UNPACKED_BYTES} bytes")
    return unpacked


def _decode_lz4(packed: memoryview | bytes) -> bytes:
    return _decode_into(cramjam.lz4.decompress_into, packed)


def _decode_zstd(packed: memoryview | bytes) -> bytes:
    return _decode_into(cramjam.zstd.decompress_into, packed)


def _decode_snappy(packed: memoryview | bytes) -> bytes:
    blocks = list(_snappy_blocks(memoryview(packed)))
    if sum(cramjam.snappy.decompress_raw_len(block) for block in blocks) > MAX_UNPACKED_BYTES:
        raise MalformedMessage(f"unpacks to more than {MAX_UNPACKED_BYTES} bytes")
    return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)


def _decode_into(decode: Callable[[bytes, bytearray], int], packed: memoryview | bytes) -> bytes:
    """Unpack into a buffer of the largest size; a decoder that needs more raises an error."""
    buffer = bytearray(MAX_UNPACKED_BYTES)
    return bytes(memoryview(buffer)[: decode(bytes(packed), buffer)])


def _snappy_blocks(packed: memoryview) -> Iterator[bytes]:
    """Split what Java's library writes, blocks with their lengths; others write a single block."""
    if not _detect_xerial_stream(packed):
        yield bytes(packed)
        return
    position = _XERIAL_HEADER_BYTES
    while position < len(packed):
        (size,) = struct.unpack_from("!i", packed, position)
        position += 4
        yield bytes(packed[position : position + size])
        if size <= 0:
            raise MalformedMessage("a block of snappy has no size")
        position += size


DECODERS: dict[str, Decoder] = {
    "gzip": _decode_gzip,
    "lz4": _decode_lz4,
    "snappy": _decode_snappy,
    "zstd": _decode_zstd,
}
"""The name of a codec and what unpacks it."""
