"""Every row of the field reports has a case in this folder, or in the test named here."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ROWS = {
    *(f"E{number}" for number in range(1, 25)),
    *(f"N{number}" for number in range(1, 17)),
    *(f"F{number}" for number in range(1, 25)),
}
"""Environments, what was found beside them, and attacks."""

ELSEWHERE = {
    "E20": "acceptance/test_restarts.py::test_worker_shutdown_disturbs_no_other_connection",
    "E22": "unit/drawing/test_png_text.py::test_choose_fonts_uncovered_graphemes_become_boxes",
}

_LABELS = re.compile(r"(?:[ENF]\d{1,2}\+?, )*[ENF]\d{1,2}\+?(?=[ :]|$)")


def find_rows(source: str) -> Iterator[str]:
    """Yield the rows at the beginning of each id and docstring, and in each `pytest.mark.row`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            labels = _LABELS.match(node.value)
            yield from re.findall(r"[ENF]\d+", labels[0] if labels else "")


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        ('@pytest.mark.row("E2")\ndef test_f() -> None: ...', ["E2"]),
        ('def test_f() -> None:\n    """N3: a port in use."""', ["N3"]),
        ('IDS = ["F1+, F18 endless cursor", "F1x", "of E4"]', ["F1", "F18"]),
        ("def test_e5_f() -> None: ...  # E6", []),
    ],
)
def test_find_rows_returns_those_of_markers_ids_and_docstrings(
    source: str, rows: list[str]
) -> None:
    assert [*find_rows(source)] == rows


def test_every_row_has_a_case() -> None:
    files = Path(__file__).parent.glob("test_*.py")
    covered = {
        row for path in files if path != Path(__file__) for row in find_rows(path.read_text())
    }
    assert sorted(ROWS - covered - ELSEWHERE.keys()) == []


def test_named_tests_exist() -> None:
    for test in ELSEWHERE.values():
        file, _, name = test.partition("::")
        assert f"def {name}(" in (TESTS / file).read_text()
