"""Work for a workshop to do: each function runs in a process of its own."""

import os
import signal
import sys
from pathlib import Path


def reverse(material: bytes) -> bytes:
    return material[::-1]


def tell_pid(material: bytes) -> bytes:
    return b"%d" % os.getpid()


def obey(material: bytes) -> bytes:
    """Do what the material says."""
    order, _, rest = material.partition(b" ")
    match order:
        case b"abort":
            os.abort()
        case b"hang":
            Path(rest.decode()).write_bytes(b"hanging")
            while True:
                signal.pause()
        case b"refuse":
            raise ValueError("not this piece")
        case b"tell":
            return os.environ.get(rest.decode(), "nothing").encode()
        case b"read":
            return Path(rest.decode()).read_bytes()
        case b"print":
            sys.stdout.write("standard output is for answers only")
            sys.stdout.flush()
            os.write(1, b"so this goes elsewhere\n")
    return b"done: " + material
