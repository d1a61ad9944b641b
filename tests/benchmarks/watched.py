"""
The command, with the pauses of its event loop and of its garbage collector written to a file.

`python -m tests.benchmarks.watched serve` with WATCHED_FILE set: one line for each pause of 5 ms or
more, `loop`, `cpu` or `gc` and its seconds. A pause of the loop is how late a timer fires; `cpu` is the
CPU time of the loop's thread meanwhile, which is far less if other processes had the processor.
"""

import asyncio
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from github_banners.cli import main

MODULE = "tests.benchmarks.watched"
VARIABLE = "WATCHED_FILE"
_TICK_SECONDS = 0.002
_MIN_SECONDS = 0.005


def read_pauses(path: Path) -> dict[str, list[float]]:
    """Read the seconds of every pause so far, by kind."""
    pauses: dict[str, list[float]] = {"loop": [], "cpu": [], "gc": []}
    for line in path.read_text().splitlines():
        kind, seconds = line.split()
        pauses[kind].append(float(seconds))
    return pauses


def _watch_collector(record: Callable[[str, float], None]) -> None:
    started = 0.0

    def on_collection(phase: str, _: dict[str, Any]) -> None:
        nonlocal started
        if phase == "start":
            started = time.perf_counter()
        else:
            record("gc", time.perf_counter() - started)

    gc.callbacks.append(on_collection)


def _watch_loop(loop: asyncio.AbstractEventLoop, record: Callable[[str, float], None]) -> None:
    due, computed = loop.time(), time.thread_time()

    def tick() -> None:
        nonlocal due, computed
        record("loop", loop.time() - due)
        record("cpu", time.thread_time() - computed)
        computed = time.thread_time()
        due = loop.time() + _TICK_SECONDS
        loop.call_at(due, tick)

    loop.call_soon(tick)


def _run() -> None:
    with Path(os.environ[VARIABLE]).open("w", buffering=1) as file:

        def record(kind: str, seconds: float) -> None:
            if seconds >= _MIN_SECONDS:
                file.write(f"{kind} {seconds:.4f}\n")

        make_event_loop = uvloop.new_event_loop

        def make_watched_loop() -> uvloop.Loop:
            loop = make_event_loop()
            _watch_loop(loop, record)
            return loop

        uvloop.new_event_loop = make_watched_loop
        _watch_collector(record)
        main()


if __name__ == "__main__":
    _run()
