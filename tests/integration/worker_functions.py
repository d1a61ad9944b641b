"""Functions for WorkerProcess to call in a worker process."""

import os
import signal
import sys
from pathlib import Path


def reverse(payload: bytes) -> bytes:
    return payload[::-1]


def get_pid(payload: bytes) -> bytes:
    return b"%d" % os.getpid()


def obey(payload: bytes) -> bytes:
    """Run the command in the payload."""
    command, _, rest = payload.partition(b" ")
    match command:
        case b"abort":
            os.abort()
        case b"hang":
            Path(rest.decode()).write_bytes(b"hanging")
            while True:
                signal.pause()
        case b"fail":
            raise ValueError("invalid payload")
        case b"getenv":
            return os.environ.get(rest.decode(), "nothing").encode()
        case b"read":
            return Path(rest.decode()).read_bytes()
        case b"print":
            sys.stdout.write("standard output is for responses only")
            sys.stdout.flush()
            os.write(1, b"so this goes elsewhere\n")
    return b"done: " + payload
