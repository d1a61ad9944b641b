"""Measure the memory and the run time of processes."""

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.acceptance.processes import environment
from tests.benchmarks.report import Budget, Row


class Memory(NamedTuple):
    """Memory of a process without its children, in MB of 2^20 bytes."""

    resident: float
    proportional: float
    """Pages that several processes share are divided among them."""


def read_memory(pid: int) -> Memory:
    """Read the memory of a process."""
    sizes = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kilobytes = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB$", sizes, re.MULTILINE))
    return Memory(int(kilobytes["Rss"]) / 1024, int(kilobytes["Pss"]) / 1024)


def run_seconds(command: Sequence[str]) -> float:
    """Run a command to its end; returns the seconds that it took."""
    started = time.perf_counter()
    subprocess.run(command, env=environment(), check=True, capture_output=True)
    return time.perf_counter() - started


def plain_python_seconds() -> float:
    """Return the seconds of a Python that does nothing."""
    return run_seconds([sys.executable, "-c", "pass"])


def plain_python_memory() -> Memory:
    """Return the memory of a Python that has imported asyncio and does nothing."""
    code = "import asyncio, sys; print(); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return read_memory(process.pid)


def memory_row(what: str, megabytes: float, reference: float, limit: float | None = None) -> Row:
    """Build a row of a report; the reference is the memory of Python with asyncio."""
    return Row(
        what=what,
        unit="MB",
        values=[megabytes],
        reference="Python with asyncio",
        reference_values=[reference],
        budget=Budget(limit, "at most") if limit is not None else None,
    )
