"""The size in the header of a PNG."""

import struct


def read_png_size(picture: bytes) -> tuple[int, int]:
    """Return width and height in pixels; assert that the bytes begin as a PNG does."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    width, height = struct.unpack_from(">II", picture, 16)
    return width, height
