"""
The process that a `WorkerProcess` keeps: one function from bytes to bytes, over pipes.

    python -m github_banners.serving.worker_main MODULE:FUNCTION

Says when it is ready; then, until its input ends, reads pieces of work and writes what became of
each. Whatever happens to it, nothing but that one piece is lost.
"""

import importlib
import os
import signal
import struct
import sys
from collections.abc import Callable
from typing import BinaryIO, cast

HEADER = struct.Struct(">BI")
"""Before each message: what it is, and how many bytes follow."""

READY, DONE, FAILED = range(3)

_MAX_SECONDS = 15
"""Who hangs longer than this has nobody left to end him, and ends by himself."""


def main() -> None:
    """Work for whoever has started this process, until they go away."""
    work = _import_function(sys.argv[1])
    orders, answers = sys.stdin.buffer, _private_output()
    _write(answers, READY, b"")
    while header := orders.read(HEADER.size):
        material = orders.read(HEADER.unpack(header)[1])
        signal.alarm(_MAX_SECONDS)
        kind, result = _attempt(work, material)
        signal.alarm(0)
        _write(answers, kind, result)


def _import_function(name: str) -> Callable[[bytes], bytes]:
    module, _, function = name.partition(":")
    return cast("Callable[[bytes], bytes]", getattr(importlib.import_module(module), function))


def _private_output() -> BinaryIO:
    """Keep standard output for answers; whatever else prints, prints to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _attempt(work: Callable[[bytes], bytes], payload: bytes) -> tuple[int, bytes]:
    try:
        return DONE, work(payload)
    except Exception as error:  # noqa: BLE001 - the parent is told, and decides
        return FAILED, f"{type(error).__name__}: {error}".encode(errors="replace")


def _write(output: BinaryIO, kind: int, content: bytes) -> None:
    output.write(HEADER.pack(kind, len(content)) + content)
    output.flush()


if __name__ == "__main__":
    main()
