"""The report keeps what did not run, compares with references and judges budgets."""

from pathlib import Path

import pytest

from tests.benchmarks.report import Budget, Report, Row, Run, Title

EARLIER = Run("2026-11-01", "full", "2 cores of a CPU")
LATER = Run("2026-11-02", "full", "2 cores of a CPU")


def build_row(what: str, *values: float, **fields: object) -> Row:
    return Row(what=what, unit="ms", values=values, **fields)  # type: ignore[arg-type]


def test_report_of_a_partial_run_keeps_the_other_rows(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    earlier, later = Report(EARLIER), Report(LATER)
    earlier.add(Title.EVENTS, build_row("first", 11, 12, 13), build_row("second", 20), text="Old.")
    earlier.add(Title.CACHED, build_row("third", 30), text="Cached.")
    earlier.write(path)
    later.add(Title.EVENTS, build_row("second", 25), text="New.")
    later.write(path)
    written = path.read_text()
    assert "| first | 12 ms | 11 to 13 (3) |" in written
    assert "| second | 25 ms | one round |" in written
    assert "20 ms" not in written
    assert "Old." not in written
    assert written.index("## Cached picture") < written.index("New.")
    assert written.count("Measured on 2026-11-01") == 2
    assert written.count("Measured on 2026-11-02") == 1


def test_row_with_reference_of_each_round_shows_the_spread_of_the_ratio() -> None:
    row = build_row("a", 10, 30, 20, reference="b", reference_values=[10, 10, 10])
    assert row.cells()[3:5] == ["b: 10 ms", "2.00 (1.00 to 3.00)"]


def test_row_with_one_reference_compares_every_round_with_it() -> None:
    assert build_row("a", 10, 20, reference="b", reference_values=[40]).ratios == [0.25, 0.5]


@pytest.mark.parametrize(
    ("budget", "cell"),
    [
        (Budget(20, "at most"), "at most 20 ms: met"),
        (Budget(20, "at most", "highest"), "at most 20 ms: **missed**"),
        (Budget(21, "at least"), "at least 21 ms: **missed**"),
        (Budget(0.5, "at least", "ratio"), "at least 0.5 x: met"),
        (Budget(0.4, "at most", "ratio"), "at most 0.4 x: **missed**"),
    ],
)
def test_row_with_budget_says_whether_it_is_met(budget: Budget, cell: str) -> None:
    row = build_row("a", 10, 20, 30, reference="b", reference_values=[40], budget=budget)
    assert row.cells()[5] == cell
