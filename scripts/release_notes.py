"""
Check that a tag can be released, and print its section of CHANGELOG.md.

    python scripts/release_notes.py v0.1.0 >notes.md

Exits with code 1 and a reason if the version of the package is another, CHANGELOG.md has no dated section of
the version, or the placeholder of the repository's account is still in an address.
"""

import argparse
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PUBLISHED = ("pyproject.toml", "*.md", "docs/*.md", ".github/**/*.yml")
# Does not match itself, so a replacement in all files leaves it as it is.
_PLACEHOLDER = re.compile(r"\bOWNER/")
_VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
_SECTION = re.compile(
    r"^## \[([^]]+)\] - \d{4}-\d\d-\d\d\n(.*?)(?=^## |^\[|\Z)", re.MULTILINE | re.DOTALL
)


class NotReleasable(Exception):
    """The tag can't be released."""


def release_notes(tag: str, *, root: Path = ROOT) -> str:
    """
    Return the Markdown of a tag's section.

    :raises NotReleasable: with the reason
    """
    source = (root / "src/github_banners/__init__.py").read_text(encoding="utf-8")
    version = match[1] if (match := _VERSION.search(source)) else None
    if tag != f"v{version}":
        raise NotReleasable(f"the tag is {tag}, and the version in src/github_banners is {version}")
    unfinished = [
        str(path.relative_to(root))
        for pattern in PUBLISHED
        for path in sorted(root.glob(pattern))
        if _PLACEHOLDER.search(path.read_text(encoding="utf-8"))
    ]
    if unfinished:
        raise NotReleasable(
            f"{', '.join(unfinished)}: replace OWNER by the account of this repository"
        )
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    sections: dict[str, str] = dict(_SECTION.findall(changelog))
    notes = sections.get(str(version), "").strip()
    if not notes:
        raise NotReleasable(f"CHANGELOG.md has no section `## [{version}] - DATE` with text")
    return notes + "\n"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("tag", help="such as v0.1.0")
    arguments = parser.parse_args()
    try:
        print(release_notes(arguments.tag), end="")  # noqa: T201
    except NotReleasable as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
