"""
Draw which packages import which, as the diagram of docs/architecture.md.

`python scripts/draw_imports.py` prints it, `--write docs/architecture.md` replaces the one of that page.
An arrow is left out if the packages are connected through others anyway.
"""

import argparse
import re
from pathlib import Path

import grimp

ROOT = "github_banners"
# Small modules that nearly all others use.
COMMON = (
    *("models", "errors", "logins", "backoff", "circuit_breaker", "log_throttle", "cache", "tasks"),
)
_SECTION = re.compile(r"(?<=<!-- imports -->\n)(.*?)(?=<!-- end of imports -->)", re.DOTALL)


def find_imports() -> dict[str, set[str]]:
    """Return for each package or module of the top level the others that it imports."""
    graph = grimp.build_graph(ROOT, cache_dir=None)
    names = [child.removeprefix(f"{ROOT}.") for child in graph.find_children(ROOT)]
    for name in names:
        graph.squash_module(f"{ROOT}.{name}")
    return {
        name: {
            imported.removeprefix(f"{ROOT}.")
            for imported in graph.find_modules_directly_imported_by(f"{ROOT}.{name}")
            if imported not in {ROOT, f"{ROOT}.{name}"}
        }
        for name in sorted(names)
        if name != "__main__"
    }


def reduce_imports(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """Leave out the arrows that follow from others; imports without cycles."""

    def reachable(name: str) -> set[str]:
        return imports[name].union(*map(reachable, imports[name]))

    return {
        name: targets - set[str]().union(*(reachable(target) for target in targets))
        for name, targets in imports.items()
    }


def draw(imports: dict[str, set[str]]) -> str:
    """Return a Mermaid flowchart; the modules of `COMMON` are one node."""
    merged = {
        name: {"common" if target in COMMON else target for target in targets}
        for name, targets in imports.items()
        if name not in COMMON
    }
    # What the common modules import is left to the reader.
    merged["common"] = set()
    lines = ["```mermaid", "flowchart TD", f"  common[{', '.join(COMMON)}]"]
    for name, targets in reduce_imports(merged).items():
        lines += [f"  {name} --> {target}" for target in sorted(targets)]
    return "\n".join([*lines, "```", ""])


def main() -> None:
    """Print the diagram, or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    page = parser.parse_args().write
    diagram = draw(find_imports())
    if page is None:
        print(diagram)  # noqa: T201 - the output of a script
        return
    before, _, after = _SECTION.split(page.read_text(encoding="utf-8"))
    page.write_text(f"{before}{diagram}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
