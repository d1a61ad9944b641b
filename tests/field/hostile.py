"""Generate hostile inputs, some of them by replacing each part of a valid message."""

import json
import random
from collections.abc import Iterator
from typing import Any

from tests.long_form import IS_LONG

NESTING = 10_000
MUTATIONS = 20_000 if IS_LONG else 20
_HOLE = "@hole@"

FRAGMENTS: dict[str, bytes] = {
    "null": b"null",
    "true": b"true",
    "empty text": b'""',
    "empty list": b"[]",
    "empty object": b"{}",
    "list of null": b"[null]",
    "object of null": b'{"a": null}',
    "-1": b"-1",
    "0.5": b"0.5",
    "2^31": b"2147483648",
    "2^63": b"9223372036854775808",
    "2^64": b"18446744073709551616",
    "-2^63": b"-9223372036854775808",
    "5,000 digits": b"9" * 5000,
    "1e308": b"1e308",
    "1e999": b"1e999",
    "-0.0": b"-0.0",
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "digits as text": b'"123"',
    "invalid UTF-8": b'"\xff\xfe"',
    "half a surrogate": b'"\\ud800"',
    "surrogate in UTF-8": b'"\xed\xa0\x80"',
    "NUL": b'"a\\u0000b"',
    "raw NUL": b'"a\0b"',
    "control characters": b'"\\u001b[31m\\r\\n\\u202e"',
    "1 MB": b'"' + b"x" * (1 << 20) + b'"',
    "1 MB of Base64 that is none": b'"' + b"=" * (1 << 20) + b'"',
    "far year": b'"9999-12-31T23:59:59.999999999-23:59"',
    "year 0": b'"0000-01-01T00:00:00Z"',
    "first year": b'"0001-01-01T00:00:00+23:59"',
    "nested lists": b"[" * NESTING + b"]" * NESTING,
    "nested objects": b'{"a":' * NESTING + b"1" + b"}" * NESTING,
    "unclosed lists": b"[" * NESTING,
    "1,000 numbers": b"[" + b",".join([b"1"] * 1000) + b"]",
    "1,001 keys": json.dumps(dict.fromkeys(map(str, range(1001)), 1)).encode(),
}
"""Replacements of a value in a JSON message, by name."""

TEXTS: dict[str, str] = {
    "nothing": "",
    "blank": "  \t",
    "minus": "-1",
    "plus": "+1",
    "under": "1_000",
    "5,000 digits": "9" * 5000,
    "2^63": str(2**63),
    "seconds after the last year": "253402300800",
    "milliseconds": "1796000000000",
    "float": "1.5",
    "exponent": "1e9",
    "NaN": "nan",
    "infinity": "inf",
    "other digits": "１２٣",
    "superscript": "²",
    "NUL": "1\0",
    "surrogate": "\ud800",
    "1 MB": "x" * (1 << 20),
    "latin-1": "\xff\xfe",
    "commas": "," * 10_000,
    "brackets": "[" * 10_000,
    "date": "2027-02-30 25:61:00 UTC",
    "far date": "9999-12-31 23:59:59 -2359",
}
"""Replacements of a header or another string, by name."""


def hostile_bytes(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a description and bytes that are mostly no valid message."""
    yield from {"nothing": b"", "NUL": b"\0", "BOM": b"\xef\xbb\xbf" + good}.items()
    yield "UTF-16", good.decode().encode("utf-16")
    yield "not UTF-8", b"\xff" * 100
    yield "twice", good + good
    yield "1 MB of blanks", b" " * (1 << 20)
    for length in range(0, len(good), max(1, len(good) // 20)):
        yield f"cut off after {length}", good[:length]
    dice = random.Random(len(good))
    for number in range(MUTATIONS):
        changed = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            changed[dice.randrange(len(good))] = dice.randrange(256)
        yield f"random bytes, mutation {number}", bytes(changed)


def hostile_json(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a valid JSON message with each of its values replaced, removed or duplicated."""
    yield from hostile_bytes(good)
    message = json.loads(good)
    for name, fragment in FRAGMENTS.items():
        yield f"{name} alone", fragment
    for path in _paths(message):
        place = ".".join(map(str, path))
        for name, fragment in FRAGMENTS.items():
            text = json.dumps(_replaced(message, path, _HOLE)).encode()
            yield f"{name} as {place}", text.replace(b'"%b"' % _HOLE.encode(), fragment)
        yield f"no {place}", json.dumps(_replaced(message, path, None, is_left_out=True)).encode()
        if isinstance(path[-1], str):
            text = json.dumps(_replaced(message, path, _HOLE)).encode()
            twice = b'1, "%b": [2]' % path[-1].encode()
            yield f"{place} twice", text.replace(b'"%b"' % _HOLE.encode(), twice)


def _paths(message: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    items: Any = ()
    if isinstance(message, dict):
        items = message.items()
    elif isinstance(message, list):
        items = enumerate(message)
    for key, value in items:
        yield from _paths(value, (*path, key))


def _replaced(
    message: Any, path: tuple[str | int, ...], value: object, *, is_left_out: bool = False
) -> Any:
    copy = json.loads(json.dumps(message))
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    if is_left_out:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return copy
