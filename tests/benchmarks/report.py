"""
Collect the figures of the benchmarks, and write docs/performance.md from them.

Each test adds rows to a section. If BENCH_REPORT names a Markdown file, the rows are merged at the
end into a JSON file beside it, and the Markdown is written from that: rows of other runs stay.
"""

import os
import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Literal

import msgspec

from tests.benchmarks.sizes import SIZE


class Title(StrEnum):
    """The sections, in the order of the report."""

    CACHED = "Cached picture"
    DRAWING = "Drawing"
    PREVIEW = "First preview"
    REFRESH = "Background refresh"
    STATEMENTS = "Statements at a million owners"
    EVENTS = "Events to stored banners"
    START = "Start"
    MEMORY = "Memory and pauses of the all-in-one"
    IDLE = "Memory of idle services"
    HIT_PROFILE = "Profile of a cached hit"
    MISS_PROFILE = "Profile of a miss"
    EVENT_PROFILE = "Profile of an event"


class Budget(msgspec.Struct, frozen=True):
    """A limit for the median or the highest value, or for the median of the ratio."""

    limit: float
    direction: Literal["at least", "at most"]
    of: Literal["median", "highest", "ratio"] = "median"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """
    A measurement with one value for each round.

    Values of the reference are in the same unit and of the same rounds, or one for all of them.
    `published` is the figure of the Go program.
    """

    what: str
    unit: str
    values: Sequence[float]
    reference: str = ""
    reference_values: Sequence[float] = ()
    budget: Budget | None = None
    published: str = ""

    @property
    def ratios(self) -> list[float]:
        """Return the ratio to the reference in each round."""
        references = list(self.reference_values)
        if len(references) == 1:
            references *= len(self.values)
        if not references:
            return []
        pairs = zip(self.values, references, strict=True)
        return [value / reference for value, reference in pairs]

    @property
    def is_within_budget(self) -> bool | None:
        """Return whether the budget is met; None if there is none."""
        if self.budget is None:
            return None
        of = {"ratio": self.ratios, "highest": [max(self.values)]}.get(self.budget.of, self.values)
        figure = statistics.median(of)
        is_floor = self.budget.direction == "at least"
        return figure >= self.budget.limit if is_floor else figure <= self.budget.limit

    def cells(self) -> list[str]:
        """Write the row as the cells of a table with the columns of `COLUMNS`."""
        return [
            self.what,
            _with_unit(statistics.median(self.values), self.unit),
            _spread(self.values),
            self._reference_cell(),
            self._ratio_cell(),
            self._budget_cell(),
            self.published,
        ]

    def _reference_cell(self) -> str:
        if not self.reference_values:
            return self.reference
        median = _with_unit(statistics.median(self.reference_values), self.unit)
        return f"{self.reference}: {median}"

    def _ratio_cell(self) -> str:
        ratios = self.ratios
        if not ratios:
            return ""
        return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"

    def _budget_cell(self) -> str:
        if self.budget is None:
            return ""
        number = _number(self.budget.limit)
        limit = f"{number} x" if self.budget.of == "ratio" else _join(number, self.unit)
        verdict = "met" if self.is_within_budget else "**missed**"
        return f"{self.budget.direction} {limit}: {verdict}"


COLUMNS = (
    "measured",
    "median",
    "min to max (rounds)",
    "reference",
    "ratio (min to max)",
    "budget",
    "Go program",
)


class Run(msgspec.Struct, frozen=True):
    """The date, size and machine of a measurement."""

    date: str
    size: str
    machine: str


class _Record(msgspec.Struct):
    row: Row
    run: Run


class _Section(msgspec.Struct):
    """A section; the text under a title is that of its last run."""

    text: str
    run: Run
    records: dict[str, _Record] = {}


class Report:
    """The figures of one run."""

    def __init__(self, run: Run | None = None) -> None:
        self._run = run or describe_run()
        self._sections: dict[Title, _Section] = {}

    def add(self, title: Title, *rows: Row, text: str) -> None:
        """Add rows to a section, and print them; `text` says how they were measured."""
        print(f"\n{title}")
        section = self._sections.setdefault(title, _Section(text, self._run))
        section.text = text
        for row in rows:
            print("  " + " | ".join(cell for cell in row.cells() if cell))
            section.records[row.what] = _Record(row, self._run)
        if not rows:
            print(text)

    def write(self, path: Path) -> None:
        """Merge the figures into those of earlier runs, and write all of them as Markdown."""
        figures = path.with_suffix(".json")
        sections: dict[str, _Section] = {}
        if figures.exists():
            sections = msgspec.json.decode(figures.read_bytes(), type=dict[str, _Section])
        for title, section in self._sections.items():
            earlier = sections.get(title)
            if earlier is not None:
                section.records = earlier.records | section.records
            sections[title] = section
        encoded = msgspec.json.encode(sections)
        figures.write_bytes(msgspec.json.format(encoded, indent=1) + b"\n")
        path.write_text(to_markdown(sections), encoding="utf-8")


_PREFACE = """\
# Performance

`make bench` measures all of this, except the statements at a million owners, and writes this page. \
A figure stands beside a reference that was \
measured in the same run, because absolute figures belong to a machine; *ratio* is the figure \
divided by its reference, round by round. No test fails because of a time. The figures are stored in \
`performance.json`: a run of some of the tests (`make bench BENCH_ARGS="-k preview"`) replaces \
their rows and leaves the others. The last column is what the Go program with the same contract \
reached when it was measured in the same ways.
"""


def to_markdown(sections: Mapping[str, _Section]) -> str:
    """Write sections in their order; rows of different runs in tables of their own."""
    parts = [_PREFACE]
    for title in Title:
        section = sections.get(title)
        if section is None:
            continue
        parts.append(f"## {title}\n\n{section.text.strip()}\n")
        if not section.records:
            parts.append(_describe(section.run))
        for run, records in groupby(section.records.values(), key=lambda record: record.run):
            parts.append(f"{_describe(run)}\n{_table([record.row for record in records])}")
    return "\n".join(parts)


def describe_run() -> Run:
    """Describe this run and this machine, without its name and its paths."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = (
        f"{cores} cores of {_cpu_model()}, {platform.system()} {_kernel_version()}, "
        f"Python {platform.python_version()}"
    )
    return Run(datetime.now(UTC).date().isoformat(), SIZE, machine)


def _kernel_version() -> str:
    """Return the numbers of the kernel's version, without what a distribution appends."""
    return re.match(r"[\d.]*", platform.release())[0].rstrip(".")  # type: ignore[index]


def _cpu_model() -> str:
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text().splitlines() if cpu_info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _describe(run: Run) -> str:
    return f"Measured on {run.date} in the {run.size} form: {run.machine}.\n"


def _table(rows: Sequence[Row]) -> str:
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(row.cells() for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return "one round"
    return f"{_number(min(values))} to {_number(max(values))} ({len(values)})"


def _with_unit(value: float, unit: str) -> str:
    return _join(_number(value), unit)


def _join(number: str, unit: str) -> str:
    return f"{number}{unit}" if unit.startswith("/") else f"{number} {unit}".strip()


def _number(value: float) -> str:
    """Format a number with at least three digits and its whole integer part."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
