"""
The main program of a `WorkerProcess`: calls a function from bytes to bytes for each request.

    python -m github_banners.serving.worker_main MODULE:FUNCTION

It writes READY, then reads requests from standard input and writes a response to each, until its
input ends. Every message is a header, with its kind and length, and the content.
"""

import importlib
import os
import signal
import struct
import sys
from collections.abc import Callable
from enum import IntEnum
from typing import BinaryIO, cast

HEADER = struct.Struct(">BI")
"""The header of a message: its kind, and the length of its content in bytes."""

# The parent kills a worker that hangs much sooner; this is for one whose parent was killed.
_MAX_SECONDS = 15


class MessageKind(IntEnum):
    """Kind of a message; requests are `REQUEST`, responses any of the others."""

    REQUEST = 0
    READY = 1
    DONE = 2
    FAILED = 3


def main() -> None:
    """Answer requests until standard input ends."""
    module, _, name = sys.argv[1].partition(":")
    work = cast("Callable[[bytes], bytes]", getattr(importlib.import_module(module), name))
    requests = sys.stdin.buffer
    # Responses get a copy of standard output; what libraries print goes to standard error.
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _write(responses, MessageKind.READY, b"")
    while header := requests.read(HEADER.size):
        payload = requests.read(HEADER.unpack(header)[1])
        signal.alarm(_MAX_SECONDS)
        try:
            kind, result = MessageKind.DONE, work(payload)
        except Exception as error:  # noqa: BLE001 - the parent handles it
            message = f"{type(error).__name__}: {error}"
            kind, result = MessageKind.FAILED, message.encode(errors="replace")
        signal.alarm(0)
        _write(responses, kind, result)


def _write(output: BinaryIO, kind: MessageKind, content: bytes) -> None:
    output.write(HEADER.pack(kind, len(content)) + content)
    output.flush()


if __name__ == "__main__":
    main()
