"""
Run the command under cProfile, while a test wants it: `python -m tests.benchmarks.profiled api`.

PROFILE_DIR names a folder. While it contains a file `on`, the thread of the event loop is profiled.
When that file is removed, the profile is written to the folder, under the name of the command.
"""

import cProfile
import os
import pstats
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias

import uvloop

from github_banners.cli import main

MODULE = "tests.benchmarks.profiled"
VARIABLE = "PROFILE_DIR"
_POLL_SECONDS = 0.05
_WRITE_SECONDS = 20
_MAX_FUNCTIONS, _MAX_PACKAGES = 20, 8
_BUILTIN = "~"

_Place: TypeAlias = tuple[str, int, str]
_Seconds: TypeAlias = tuple[int, int, float, float]
_Stats: TypeAlias = dict[_Place, tuple[int, int, float, float, dict[_Place, _Seconds]]]
"""By file, line and name: primitive and all calls, own and cumulative seconds, the same by caller."""


class Function(NamedTuple):
    """A function as the profiler saw it; seconds are those of all calls together."""

    name: str
    calls: int
    own_seconds: float
    cumulative_seconds: float


class Profile(NamedTuple):
    """What a process did; `cpu_seconds` are those of the profiled thread."""

    functions: list[Function]
    package_seconds: Mapping[str, float]
    cpu_seconds: float

    def to_markdown(self, *, operations: int, operation: str) -> str:
        """Write the functions that took most themselves, and the share of each package."""
        own = sum(function.own_seconds for function in self.functions)
        outside = max(0.0, self.cpu_seconds - own)
        rest = Function("*the event loop and the kernel, outside of them*", 0, outside, outside)
        ranked = sorted(self.functions, key=lambda function: -function.own_seconds)[:_MAX_FUNCTIONS]
        total = own + outside
        lines = [
            f"By package: {self._shares(total)}.",
            "",
            f"| function | calls per {operation} | own µs | share | with callees, µs |",
            "| --- | --- | --- | --- | --- |",
            *(
                f"| {function.name} | {_number(function.calls / operations)} "
                f"| {_number(function.own_seconds / operations * 1e6)} "
                f"| {function.own_seconds / total:.0%} "
                f"| {_number(function.cumulative_seconds / operations * 1e6)} |"
                for function in (rest, *ranked)
            ),
        ]
        return "\n".join(lines)

    def _shares(self, total: float) -> str:
        ranked = sorted(self.package_seconds.items(), key=lambda package: -package[1])
        return ", ".join(
            f"{name} {seconds / total:.0%}" for name, seconds in ranked[:_MAX_PACKAGES]
        )


@contextmanager
def profiling(folder: Path) -> Iterator[None]:
    """Profile the processes that use a folder; they write their profiles at the end."""
    switch = folder / "on"
    switch.touch()
    time.sleep(2 * _POLL_SECONDS)
    try:
        yield
    finally:
        switch.unlink()


def read_profile(folder: Path, command: str) -> Profile:
    """Wait for the profile that the process of a command writes, and read it."""
    path = folder / command
    deadline = time.monotonic() + _WRITE_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"{command} wrote no profile"
        time.sleep(_POLL_SECONDS)
    cpu_seconds = float((folder / f"{command}.seconds").read_text())
    stats: _Stats = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
    path.unlink()
    functions = [
        Function(
            f"`{_module(file)}.{name.strip('<>')}`".replace("`~.", "`"), calls, own, cumulative
        )
        for (file, _, name), (_, calls, own, cumulative, _) in stats.items()
    ]
    return Profile(functions, _package_seconds(stats), cpu_seconds)


def _package_seconds(stats: _Stats) -> Mapping[str, float]:
    """Sum up the own seconds of each package's functions; a builtin function's are its callers'."""
    seconds: dict[str, float] = defaultdict(float)
    for (file, _, _), (_, _, own, _, callers) in stats.items():
        if file == _BUILTIN:
            for (calling_file, _, _), (_, _, of_caller, _) in callers.items():
                seconds[_package(calling_file)] += of_caller
        else:
            seconds[_package(file)] += own
    return seconds


def _package(file: str) -> str:
    """Return the package of a file: one of this project, an installed one, or Python's library."""
    parts = _module(file).split(".")
    if parts[0] == "github_banners":
        return f"our `{parts[1]}`"
    return f"`{parts[0]}`" if "site-packages" in file else "Python's library"


def _module(file: str) -> str:
    """Return the module of a file, without the path on this machine."""
    parts = Path(file).with_suffix("").parts
    for root in ("site-packages", "src"):
        if root in parts:
            return ".".join(parts[parts.index(root) + 1 :])
    return parts[-1]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _watch(loop: uvloop.Loop, folder: Path, command: str) -> None:
    switch = folder / "on"
    profile: cProfile.Profile | None = None
    started = 0.0

    def poll() -> None:
        nonlocal profile, started
        loop.call_later(_POLL_SECONDS, poll)
        if switch.exists() and profile is None:
            profile, started = cProfile.Profile(), time.thread_time()
            profile.enable()
        elif profile is not None and not switch.exists():
            profile.disable()
            (folder / f"{command}.seconds").write_text(f"{time.thread_time() - started}")
            profile.dump_stats(folder / f"{command}.part")
            (folder / f"{command}.part").rename(folder / command)
            profile = None

    loop.call_soon(poll)


def _run() -> None:
    make_event_loop = uvloop.new_event_loop

    def make_profiled_loop() -> uvloop.Loop:
        loop = make_event_loop()
        _watch(loop, Path(os.environ[VARIABLE]), sys.argv[1])
        return loop

    uvloop.new_event_loop = make_profiled_loop
    main()


if __name__ == "__main__":
    _run()
