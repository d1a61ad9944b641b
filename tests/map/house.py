"""
The rules of the house, as pure functions: a module's source -> sentences of complaint.

Which room may import from which, where a third party may be met, how long things may be, what
nothing is called.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

PACKAGE = "github_banners"
MOST_MODULE_LINES = 400
MOST_FUNCTION_LINES = 60
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "manager", "managers"}

NOUNS = {"models", "errors", "settings", "options", "circuit_breaker", "log_throttle"}
KEEPERS = {"github", "database", "stats"}
DOORS = {"api", "renderer", "storage"}
ASSEMBLY = {"app", "cli", "__main__"}

# A room -> the rooms that it may know besides itself.
ARROWS: Mapping[str, set[str]] = {
    "models": set(),
    "errors": set(),
    "circuit_breaker": set(),
    "log_throttle": set(),
    "options": {"errors"},
    "settings": {"errors"},
    "drawing": NOUNS,
    "github": NOUNS,
    "database": NOUNS,
    "messaging": NOUNS,
    "cache": set(),
    "stats": NOUNS | {"cache", "github", "database"},
    "serving": {"settings", "errors", "log_throttle"},
    "renderer": NOUNS | {"drawing", "messaging", "serving"},
    "storage": NOUNS | {"messaging", "serving"},
    "api": NOUNS | KEEPERS | {"cache", "drawing", "messaging", "serving"},
    "app": NOUNS | DOORS | {"database", "drawing", "messaging", "serving"},
    "diagnostics": NOUNS | {"github", "database", "messaging", "serving", "storage"},
    "supervisor": {"app", "serving", "settings"},
    "render_once": NOUNS | {"github", "stats", "drawing"},
    "cli": NOUNS
    | KEEPERS
    | DOORS
    | {"app", "drawing", "messaging", "serving"}
    | {"diagnostics", "supervisor", "render_once"},
    "__main__": {"cli"},
    "__init__": set(),
}

# A third party -> the rooms and files where it may be met.
PLACES: Mapping[str, set[str]] = {
    "aiokafka": {"messaging"},
    "alembic": {"database/migrations"},
    "babel": {"drawing"},
    "cramjam": {"messaging/decompression.py"},
    "durationpy": {"settings", "cli"},
    "github_sandbox": {"cli"},
    "http_message_signatures": {"messaging"},
    "httptools": {"serving/http_protocol.py"},
    "httpx2": {
        "github/client.py",
        "github/sender.py",
        "github/transport.py",
        "messaging/clients.py",
    },
    "minijinja": {"drawing"},
    "msgspec": {""},
    "obstore": {"storage"},
    "opentelemetry": {"serving"},
    "prometheus_client": {"serving"},
    "psycopg": {"database"},
    "psycopg_pool": {"database"},
    "resvg_py": {"drawing"},
    "sqlalchemy": {"database/migrations"},
    "starlette": {*DOORS, "serving"},
    "stamina": {
        "github/sender.py",
        "github/transport.py",
        "messaging",
        "api/api_service.py",
        "renderer/renderer_service.py",
        "storage/storage_service.py",
    },
    "structlog": {*DOORS, *KEEPERS, "cli/base.py", "messaging", "serving"},
    "typer": {"cli"},
    "uvicorn": {"serving/http_protocol.py", "serving/server.py"},
    "uvloop": {"serving/event_loop.py"},
}


@dataclass(frozen=True)
class Module:
    """One source file; `path` is relative to the package."""

    path: PurePosixPath
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def room(self) -> str:
        """The first folder, or the name of a file that lies in none."""
        return self.path.parts[0].removesuffix(".py")

    def imports(self) -> Iterator[tuple[str, int]]:
        """Every imported name in full, however deep the import stands, with its line."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        here = (PACKAGE, *self.path.parts[:-1])
        above = here[: len(here) - node.level + 1]
        return ".".join([*above, *([node.module] if node.module else [])])


def wrong_arrows(module: Module) -> list[str]:
    """Complain of imports from rooms that this one must not know."""
    if module.room not in ARROWS:
        return [f"{module.path}: no room `{module.room}` is on the map"]
    allowed = ARROWS[module.room] | {module.room}
    return [
        f"{module.path}:{line}: {module.room} must not know {room}"
        for name, line in module.imports()
        if (room := _room_of(name)) is not None and room not in allowed
    ]


def _room_of(name: str) -> str | None:
    first, _, rest = name.partition(".")
    room = rest.partition(".")[0]
    return room if first == PACKAGE and room in ARROWS else None


def wrong_places(module: Module) -> list[str]:
    """Complain of third parties that are met outside of their places."""
    return [
        f"{module.path}:{line}: {party} has no place here"
        for name, line in module.imports()
        if (party := name.partition(".")[0]) not in sys.stdlib_module_names | {PACKAGE}
        and not any(module.path.is_relative_to(place) for place in PLACES.get(party, ()))
    ]


def too_long(module: Module) -> list[str]:
    """Complain of long modules and functions; a function's arguments and docstring do not count."""
    lines = module.source.count("\n")
    complaints = [f"{module.path}: {lines} lines"] if lines > MOST_MODULE_LINES else []
    return complaints + [
        f"{module.path}:{node.lineno}: {node.name} has {length} lines"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := _body_lines(node)) > MOST_FUNCTION_LINES
    ]


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def undocumented(module: Module) -> list[str]:
    """Complain of a module that does not say what it is."""
    return [] if ast.get_docstring(module.tree) else [f"{module.path}: no docstring"]


def badly_named(module: Module) -> list[str]:
    """Complain of names that say nothing."""
    parts = {part.removesuffix(".py") for part in module.path.parts}
    return [f"{module.path}: `{part}` says nothing" for part in sorted(parts & FORBIDDEN_NAMES)]
