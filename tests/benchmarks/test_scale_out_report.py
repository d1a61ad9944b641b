"""The table of `make bench-scale`: CPU per unit, what another machine adds, and what is not measured."""

import os
import time

import pytest

from tests.benchmarks.report import Run
from tests.benchmarks.scale_out import Meter, Round, Scenario, to_markdown

RUN = Run("2026-11-30", "full", "2 cores of a CPU")
SCENARIO = Scenario(
    section="events",
    unit="event",
    scaled=("renderer", "storage"),
    shared=("broker",),
    text="Events are sent.",
)


def build_round(processes: int, *, units: int, seconds: float = 2, **cpu_seconds: float) -> Round:
    return Round(processes, units, seconds, cpu_seconds, client_seconds=0.5, machine_seconds=3)


def test_round_leaves_what_other_processes_used() -> None:
    measured = build_round(1, units=1000, renderer=1, storage=0.5, broker=0.2)
    assert measured.per_second == 500
    assert measured.cpu_milliseconds("renderer", "storage") == pytest.approx(1.5)
    assert measured.other_cores == pytest.approx((3 - 2.2) / 2)


def test_table_compares_with_one_process() -> None:
    rounds = [
        build_round(1, units=1000, renderer=0.25, storage=0.25, broker=0.1),
        build_round(2, units=2000, renderer=0.6, storage=0.6, broker=0.2),
        build_round(2, units=1000, renderer=0.3, storage=0.3, broker=0.1),
    ]
    lines = to_markdown(SCENARIO, rounds, run=RUN, cores=2).splitlines()
    assert "Measured on 2026-11-30 in the full form: 2 cores of a CPU." in lines
    # 0.5 ms of CPU for an event with one process of each, 0.6 ms with two: 2 cores carry 3,333/s.
    assert (
        "| 2 | 750 (500 to 1,000) | 0.300 ms | 0.300 ms | 0.100 ms | +20% | 3,333 events/s | 0.73 |"
        in lines
    )
    assert lines[-1] == "Events a second that keep a core busy: broker 10,000."


def test_table_without_measurements_says_so() -> None:
    markdown = to_markdown(SCENARIO, [], run=None, cores=2)
    assert markdown.count("| not measured yet | not measured yet |") >= 3
    assert "Form and machine: not measured yet." in markdown
    assert markdown.endswith("broker not measured yet.")


def test_meter_measures_the_processes_of_a_service() -> None:
    meter = Meter({"this": [os.getpid()]})
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    measured = meter.stop(processes=1, units=10)
    # The kernel counts in ticks of 10 ms.
    assert measured.cpu_seconds["this"] >= 0.08
    assert measured.client_seconds >= 0.1
    assert measured.machine_seconds >= 0.08
    assert meter.stop(processes=1, units=10, seconds=5).per_second == 2
