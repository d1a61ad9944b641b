"""Every row of the field reports has a case in this folder, or in the test named here."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

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
_TEST_NAME = re.compile(r"test_([enf]\d{1,2})_")


def rows_with_a_case() -> Iterator[str]:
    """Yield the row at the beginning of each id and docstring, and of each test's name."""
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                labels = _LABELS.match(node.value)
                yield from re.findall(r"[ENF]\d+", labels[0] if labels else "")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = _TEST_NAME.match(node.name)
                yield from [name[1].upper()] if name else []


def test_every_row_has_a_case() -> None:
    assert sorted(ROWS - {*rows_with_a_case()} - ELSEWHERE.keys()) == []


def test_named_tests_exist() -> None:
    for test in ELSEWHERE.values():
        file, _, name = test.partition("::")
        assert f"def {name}(" in (TESTS / file).read_text()
