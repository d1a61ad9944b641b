"""Documentation refers only to files that exist."""

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PACKAGE = CHECKOUT / "src/github_banners"
PAGES = [
    CHECKOUT / "README.md",
    CHECKOUT / "CHANGELOG.md",
    *sorted((CHECKOUT / "docs").glob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_names_only_existing_modules_and_tests(page: Path) -> None:
    paths = re.findall(
        r"`(\w[\w/]*\.py|(?:tests|drawing)/[\w/]*)`", page.read_text(encoding="utf-8")
    )
    missing = [
        path for path in paths if not any((root / path).exists() for root in (PACKAGE, CHECKOUT))
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_links_only_to_existing_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)|(?:src|srcset)=\"([^\"]+)\"", text)
    targets = [link or source for link, source in links]
    files = [target for target in targets if not target.startswith("http")]
    assert [target for target in files if not (page.parent / target).exists()] == []
