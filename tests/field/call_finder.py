"""Find calls in the source, so that a test can require a case for each."""

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import github_banners

SOURCE = Path(github_banners.__file__).parent


def called_name(call: ast.Call) -> str:
    """Return the last part of the called name, empty if the callee is another expression."""
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


def find_calls(files: Iterable[Path], is_match: Callable[[ast.Call], bool]) -> Iterator[str]:
    """
    Yield where each matching call is, as `package.module:Class.function`.

    A call at the top level of a module is named by the variable that it is assigned to.
    """
    for file in files:
        module = ".".join(file.relative_to(SOURCE).with_suffix("").parts)
        for call, names in _calls(ast.parse(file.read_text(encoding="utf-8"))):
            if is_match(call):
                yield f"{module.removesuffix('.__init__')}:{'.'.join(names) or '<module>'}"


def _calls(
    node: ast.AST, names: tuple[str, ...] = ()
) -> Iterator[tuple[ast.Call, tuple[str, ...]]]:
    for child in ast.iter_child_nodes(node):
        inner = names
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = (*names, child.name)
        elif not names and isinstance(child, ast.Assign) and isinstance(child.targets[0], ast.Name):
            inner = (child.targets[0].id,)
        if isinstance(child, ast.Call):
            yield child, inner
        yield from _calls(child, inner)
