"""
CPU time of several processes of a service for a unit of work, and its table in docs/scaling.md.

On a machine with few cores more processes are not faster. What another machine would add follows from the
CPU time that a unit takes with several processes, and what is lost from its growth.
"""

import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling.page import table

from tests.acceptance.breakable_backends import process_tree
from tests.acceptance.deployment import cpu_seconds
from tests.benchmarks.report import Run

PROCESSES = tuple(map(int, os.environ.get("PROCESSES", "1,2,4").split(",")))
"""How many processes of a service run; the first number is what the others are compared with."""

_NOT_MEASURED = "not measured yet"
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Scenario:
    """
    What is measured: `section` is its place in the page, `unit` the work.

    There are several processes of each service in `scaled`, and one of each in `shared`.
    """

    section: str
    unit: str
    scaled: tuple[str, ...]
    shared: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Round:
    """Units of work, the wall-clock seconds that they took, and CPU seconds by service."""

    processes: int
    units: int
    seconds: float
    cpu_seconds: Mapping[str, float]
    client_seconds: float
    """CPU time of the benchmark itself."""
    machine_seconds: float
    """CPU time of all processes of the machine."""

    @property
    def per_second(self) -> float:
        """Units of work in a second."""
        return self.units / self.seconds

    @property
    def other_cores(self) -> float:
        """Cores that processes kept busy that do not belong to the benchmark."""
        ours = sum(self.cpu_seconds.values()) + self.client_seconds
        return max(0.0, self.machine_seconds - ours) / self.seconds

    def cpu_milliseconds(self, *services: str) -> float:
        """Return the CPU time of services for a unit."""
        return sum(self.cpu_seconds[name] for name in services) / self.units * 1e3


class Meter:
    """Measures a round from its creation to `stop`; `pids` has the processes of each service."""

    def __init__(self, pids: Mapping[str, Sequence[int]]) -> None:
        self._pids = pids
        self._before = self._read()

    def stop(self, *, processes: int, units: int, seconds: float | None = None) -> Round:
        """Return the round; `seconds` is its length, if the work ended before now."""
        started, machine, client, services = self._before
        now, machine_now, client_now, services_now = self._read()
        return Round(
            processes=processes,
            units=units,
            seconds=seconds or now - started,
            cpu_seconds={name: services_now[name] - services[name] for name in services},
            client_seconds=client_now - client,
            machine_seconds=machine_now - machine,
        )

    def _read(self) -> tuple[float, float, float, dict[str, float]]:
        services = {
            name: sum(cpu_seconds(process) for pid in pids for process in process_tree(pid))
            for name, pids in self._pids.items()
        }
        return time.perf_counter(), _machine_seconds(), time.process_time(), services


def _machine_seconds() -> float:
    """Return the CPU time that all processes of the machine have used so far."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _waiting, *interrupts_and_steal = map(int, fields[:8])
    return (user + nice + system + sum(interrupts_and_steal)) / _CLOCK_TICKS


def to_markdown(scenario: Scenario, rounds: Sequence[Round], *, run: Run | None, cores: int) -> str:
    """Write the section of a scenario; without rounds, with a note in place of each figure."""
    services = (*scenario.scaled, *scenario.shared)
    columns = [
        f"{' and '.join(scenario.scaled)} processes",
        f"{scenario.unit}s a second",
        *(f"CPU: {name}" for name in services),
        "more CPU than in the first row",
        "another such machine adds",
        "cores busy with other things",
    ]
    rows = [_row(scenario, rounds, processes, cores=cores) for processes in PROCESSES]
    described = (
        f"Measured on {run.date} in the {run.size} form: {run.machine}."
        if run is not None
        else f"Form and machine: {_NOT_MEASURED}."
    )
    return "\n\n".join(
        [scenario.text, described, table(columns, rows).strip(), _describe_shared(scenario, rounds)]
    )


def _row(scenario: Scenario, rounds: Sequence[Round], processes: int, *, cores: int) -> list[str]:
    """
    Write the medians of the rounds with a number of processes.

    Another machine has the same cores, for the scaled services alone.
    """
    services = (*scenario.scaled, *scenario.shared)
    own = [measured for measured in rounds if measured.processes == processes]
    single = [measured for measured in rounds if measured.processes == PROCESSES[0]]
    if not own or not single:
        return [str(processes), *[_NOT_MEASURED] * (len(services) + 4)]
    scaled = _median_cpu(own, *scenario.scaled)
    more = scaled / _median_cpu(single, *scenario.scaled) - 1
    rates = [measured.per_second for measured in own]
    return [
        str(processes),
        f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})",
        *(f"{_median_cpu(own, name):.3f} ms" for name in services),
        f"{more:+.0%}",
        f"{cores / scaled * 1e3:,.0f} {scenario.unit}s/s",
        f"{statistics.median(measured.other_cores for measured in own):.2f}",
    ]


def _describe_shared(scenario: Scenario, rounds: Sequence[Round]) -> str:
    """Say at which rate each service with a single process would keep a core busy."""
    full = [
        f"{name} {1e3 / milliseconds:,.0f}"
        if rounds and (milliseconds := _median_cpu(rounds, name)) > 0
        else f"{name} {_NOT_MEASURED}"
        for name in scenario.shared
    ]
    return f"{scenario.unit.capitalize()}s a second that keep a core busy: {', '.join(full)}."


def _median_cpu(rounds: Sequence[Round], *services: str) -> float:
    return statistics.median(measured.cpu_milliseconds(*services) for measured in rounds)
