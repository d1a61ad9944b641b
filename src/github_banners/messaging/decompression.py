"""
Limit the decompressed size of Kafka's record batches.

aiokafka decompresses a whole batch without a limit: 1 MB of compressed blanks becomes 1 GB before
the first record is read. Its decoders can't be configured, so they are replaced by limited ones.
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

MAX_DECOMPRESSED_BYTES = 4 << 20
"""Limit for one batch; by default, clients put at most 1 MB in a batch."""

Decoder: TypeAlias = Callable[[memoryview | bytes], bytes]

# Each imports the decoders by name; the compiled modules, where installed, replace the other two.
_MODULES = (
    "aiokafka.record.default_records",
    "aiokafka.record.legacy_records",
    "aiokafka.record._crecords.default_records",
    "aiokafka.record._crecords.legacy_records",
)
_XERIAL_HEADER_BYTES = 16


def limit_decompression() -> None:
    """Replace the decoders of aiokafka by limited ones, in the whole process."""
    for name in _MODULES:
        try:
            module = import_module(name)
        except ImportError:
            continue
        for codec, decode in DECODERS.items():
            if hasattr(module, f"{codec}_decode"):
                setattr(module, f"{codec}_decode", decode)


def _decode_gzip(compressed: memoryview | bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(compressed)) as file:
        decompressed = file.read(MAX_DECOMPRESSED_BYTES + 1)
    if len(decompressed) > MAX_DECOMPRESSED_BYTES:
        raise MalformedMessage(f"decompresses to more than {MAX_DECOMPRESSED_BYTES} bytes")
    return decompressed


def _decode_lz4(compressed: memoryview | bytes) -> bytes:
    return _decode_into(cramjam.lz4.decompress_into, compressed)


def _decode_zstd(compressed: memoryview | bytes) -> bytes:
    return _decode_into(cramjam.zstd.decompress_into, compressed)


def _decode_snappy(compressed: memoryview | bytes) -> bytes:
    blocks = list(_snappy_blocks(memoryview(compressed)))
    if sum(cramjam.snappy.decompress_raw_len(block) for block in blocks) > MAX_DECOMPRESSED_BYTES:
        raise MalformedMessage(f"decompresses to more than {MAX_DECOMPRESSED_BYTES} bytes")
    return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)


def _decode_into(
    decode: Callable[[bytes, bytearray], int], compressed: memoryview | bytes
) -> bytes:
    """Decompress into a buffer of the maximum size; the decoder raises if it is too small."""
    buffer = bytearray(MAX_DECOMPRESSED_BYTES)
    return bytes(memoryview(buffer)[: decode(bytes(compressed), buffer)])


def _snappy_blocks(compressed: memoryview) -> Iterator[bytes]:
    """Split the format of the Java client, blocks with lengths; others write a single block."""
    if not _detect_xerial_stream(compressed):
        yield bytes(compressed)
        return
    position = _XERIAL_HEADER_BYTES
    while position < len(compressed):
        (size,) = struct.unpack_from("!i", compressed, position)
        position += 4
        yield bytes(compressed[position : position + size])
        if size <= 0:
            raise MalformedMessage("a snappy block without a size")
        position += size


DECODERS: dict[str, Decoder] = {
    "gzip": _decode_gzip,
    "lz4": _decode_lz4,
    "snappy": _decode_snappy,
    "zstd": _decode_zstd,
}
"""The limited decoders by codec."""
