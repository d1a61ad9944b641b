"""
Rules for the source files that import-linter's contracts in pyproject.toml cannot express.

Each rule is a pure function: a module -> one line of text for each violation. The rules are which
files may import a third-party package, how long modules and functions may be, that a module has a
docstring, and which names are forbidden.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import PurePosixPath

PACKAGE = "github_banners"
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
MEANINGLESS_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "manager", "managers"}

_SERVICES = {"api", "renderer", "storage"}
_COMMANDS = {"allow", "check", "forget"}
_NAMED_NODES = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

# Third-party package -> the packages and files that may import it.
THIRD_PARTIES: Mapping[str, set[str]] = {
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
        "http_client.py",
        "messaging/clients.py",
        "serving/telemetry",
    },
    "minijinja": {"drawing", "api/documents.py"},
    "msgspec": {""},
    "obstore": {"storage"},
    "opentelemetry": {"serving/telemetry"},
    "prometheus_client": {"serving"},
    "psycopg": {"database"},
    "psycopg_pool": {"database"},
    "requests": {"serving/telemetry/export.py"},
    "resvg_py": {"drawing"},
    "sqlalchemy": {"database/migrations"},
    "starlette": {*_SERVICES, "serving"},
    "stamina": {
        "github/sender.py",
        "github/transport.py",
        "messaging",
        "api/api_service.py",
        "renderer/renderer_service.py",
        "storage/storage_service.py",
        "storage/store.py",
    },
    "structlog": {
        *_SERVICES,
        "github",
        "database",
        "stats",
        "circuit_breaker.py",
        "cli/base.py",
        "messaging",
        "serving",
    },
    "typer": {"cli"},
    "uvicorn": {"serving/http_protocol.py", "serving/server.py"},
    "uvloop": {"serving/event_loop.py"},
}

# Names that say nothing to a reader who does not know the project's history. FORBIDDEN_WORDS may
# not be part of any name, FORBIDDEN_VARIABLES may not be the whole name of a variable or parameter.
FORBIDDEN_WORDS = frozenset(
    {
        *("asked", "bury", "buried", "craftsman", "desk", "door", "doors", "entrance", "errand"),
        *("everybody", "hopeless", "knock", "neighbour", "neighbours", "nobody", "somebody"),
        *("stranger", "strangers", "undrawable", "whom", "whose", "wish", "wishes", "workshop"),
    }
)
FORBIDDEN_CLASSES = frozenset(
    {
        *("Attempts", "Claim", "Door", "Gate", "Hot", "HotPath", "Kept", "Known", "Lines"),
        *("Meaning", "Of", "Room", "Saving", "Shares", "Trouble", "Trust", "Turn", "Turns"),
    }
)
FORBIDDEN_VARIABLES = frozenset(
    {"one", "each", "it", "at", "found", "given", "told", "said", "kept", "answer", "answers"}
)
FORBIDDEN_PREFIXES = re.compile(r"_?(MOST|LEAST|LONGEST|DEAREST|ENOUGH)_")
# `build_x`, `parse_x`, `read_x` in place of `x_of`; a parameter may be called `as_of`.
FORBIDDEN_FUNCTION_SUFFIX = "_of"
_DEFINING_NODES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.arg, ast.Name, ast.Attribute),
    *(ast.Import, ast.ImportFrom, ast.ExceptHandler),
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


@dataclass(frozen=True)
class Module:
    """One source file; `path` is relative to its root package."""

    path: PurePosixPath
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Return all nodes that define or bind something, at any depth."""
        return [node for node in ast.walk(self.tree) if isinstance(node, _DEFINING_NODES)]

    @property
    def package(self) -> str:
        """Return the name of the top-level package or module that the file belongs to."""
        return self.path.parts[0].removesuffix(".py")

    def imports(self) -> Iterator[tuple[str, int]]:
        """Yield the full name of every import, at any depth, and its line."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        folders = (PACKAGE, *self.path.parts[:-1])
        parent = folders[: len(folders) - node.level + 1]
        return ".".join([*parent, *([node.module] if node.module else [])])


def find_third_party_violations(module: Module) -> list[str]:
    """Report imports of third-party packages outside the files that may use them."""
    return [
        f"{module.path}:{line}: must not import {name}"
        for full_name, line in module.imports()
        if (name := full_name.partition(".")[0]) not in sys.stdlib_module_names | {PACKAGE}
        and not any(module.path.is_relative_to(place) for place in THIRD_PARTIES.get(name, ()))
    ]


def find_private_imports(module: Module) -> list[str]:
    """Report imports of private names of the packages under test, which tests must not use."""
    return [
        f"{module.path}:{line}: {name} is private"
        for name, line in module.imports()
        if name.startswith(("github_banners.", "github_sandbox."))
        and any(re.match("_(?!_)", part) for part in name.split("."))
    ]


def find_own_clocks(module: Module) -> list[str]:
    """Report test classes whose `__call__` only returns an attribute, as the shared clocks do."""
    return [
        f"{module.path}:{node.lineno}: {node.name} is a clock"
        for node in module.nodes
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.FunctionDef)
        and method.name == "__call__"
        and isinstance(method.body[-1], ast.Return)
        and isinstance(method.body[-1].value, ast.Attribute)
        and len(method.body) == 1
    ]


def find_shared_names(modules: Sequence[Module]) -> list[str]:
    """Report names that modules or classes of a package share; revisions keep their names."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for module in modules:
        if not module.path.stem.startswith("__") and "versions" not in module.path.parts:
            places[f"module {module.path.stem}"].append(str(module.path))
        for node in module.nodes:
            if isinstance(node, ast.ClassDef):
                places[f"class {node.name}"].append(str(module.path))
    return [f"{name}: {', '.join(paths)}" for name, paths in places.items() if len(paths) > 1]


def find_unknown_names(package: Module, modules: Sequence[Module]) -> list[str]:
    """Report names in a package's docstring that are no modules, functions or classes in it."""
    folder = package.path.parent
    known = set(_COMMANDS)
    for module in modules:
        if module.path.is_relative_to(folder):
            known |= {module.path.stem, *module.path.relative_to(folder).parts[:-1]}
            known |= {node.name for node in module.nodes if isinstance(node, _NAMED_NODES)}
    docstring = ast.get_docstring(package.tree) or ""
    return [
        f"{package.path}: {name}"
        for name in re.findall(r"`(\w+)`", docstring)
        if name not in known and name.islower()
    ]


def find_size_violations(module: Module) -> list[str]:
    """Report long modules and functions; signatures and docstrings of functions do not count."""
    lines = module.source.count("\n")
    violations = [f"{module.path}: {lines} lines"] if lines > MAX_MODULE_LINES else []
    return violations + [
        f"{module.path}:{node.lineno}: {node.name} has {length} lines"
        for node in module.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := _count_body_lines(node)) > MAX_FUNCTION_LINES
    ]


def _count_body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def find_missing_docstring(module: Module) -> list[str]:
    """Report a module without a docstring."""
    return [] if ast.get_docstring(module.tree) else [f"{module.path}: no docstring"]


def find_meaningless_names(module: Module) -> list[str]:
    """Report files and folders whose name could stand for anything."""
    parts = {part.removesuffix(".py") for part in module.path.parts}
    return [f"{module.path}: `{part}` is too general" for part in sorted(parts & MEANINGLESS_NAMES)]


def find_forbidden_names(module: Module) -> list[str]:
    """Report modules, classes, functions, variables, parameters and aliases with forbidden names."""
    parts = [(part.removesuffix(".py"), 1) for part in module.path.parts]
    violations = [(name, line) for name, line in parts if _has_forbidden_word(name)]
    for name, line, is_variable in _defined_names(module):
        if is_variable:
            has_prefix = FORBIDDEN_PREFIXES.match(name) is not None
            is_forbidden = has_prefix or name in FORBIDDEN_VARIABLES
        else:
            is_forbidden = name.endswith(FORBIDDEN_FUNCTION_SUFFIX)
        if is_forbidden or name in FORBIDDEN_CLASSES or _has_forbidden_word(name):
            violations.append((name, line))
    return [f"{module.path}:{line}: `{name}`" for name, line in violations]


@cache
def _has_forbidden_word(name: str) -> bool:
    return not FORBIDDEN_WORDS.isdisjoint(word.lower() for word in _WORD.findall(name))


def _defined_names(module: Module) -> Iterator[tuple[str, int, bool]]:
    """Yield every name that a module binds, its line, and whether it is a variable."""
    for node in module.nodes:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno, False
            case ast.arg():
                yield node.arg, node.lineno, True
            case ast.Name(ctx=ast.Store()):
                yield node.id, node.lineno, True
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr, node.lineno, True
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    if alias.asname:
                        yield alias.asname, node.lineno, True
            case ast.ExceptHandler(name=str(name)):
                yield name, node.lineno, True
            case _:
                pass
