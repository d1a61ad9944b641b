"""A tag is released only if version, CHANGELOG and addresses fit to it."""

from pathlib import Path

import pytest
import release_notes
from release_notes import NotReleasable

CHANGELOG = """# Changelog

## [Unreleased]

- later

## [0.2.0] - 2027-01-31

### Added

- a thing

## [0.1.0] - 2026-12-01

- first

[0.1.0]: https://example.com
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a checkout of version 0.2.0 that can be released."""
    package = tmp_path / "src/github_banners"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""Banners."""\n\n__version__ = "0.2.0"\n')
    (tmp_path / "pyproject.toml").write_text('Homepage = "https://github.com/ada/github-banners"\n')
    (tmp_path / "README.md").write_text("# GitHub Banners\n")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def test_release_notes_are_the_section_of_the_version(root: Path) -> None:
    notes = release_notes.release_notes("v0.2.0", root=root)
    assert notes == "### Added\n\n- a thing\n"


def test_release_notes_of_the_first_version_end_before_the_links(root: Path) -> None:
    source = root / "src/github_banners/__init__.py"
    source.write_text(source.read_text().replace("0.2.0", "0.1.0"))
    assert release_notes.release_notes("v0.1.0", root=root) == "- first\n"


@pytest.mark.parametrize("tag", ["v0.1.0", "0.2.0", "v0.2.0-rc1", ""])
def test_release_notes_of_another_version_are_refused(root: Path, tag: str) -> None:
    with pytest.raises(NotReleasable, match=r"the version in src/github_banners is 0\.2\.0"):
        release_notes.release_notes(tag, root=root)


@pytest.mark.parametrize("heading", ["## [Unreleased]", "## [0.2.0]", "## [0.2.0] - soon"])
def test_release_notes_without_dated_section_are_refused(root: Path, heading: str) -> None:
    text = CHANGELOG.replace("## [0.2.0] - 2027-01-31", heading)
    (root / "CHANGELOG.md").write_text(text)
    with pytest.raises(NotReleasable, match=r"CHANGELOG.md has no section `## \[0\.2\.0\] - DATE`"):
        release_notes.release_notes("v0.2.0", root=root)


@pytest.mark.parametrize("name", ["pyproject.toml", "README.md", ".github/workflows/banners.yml"])
def test_release_notes_with_placeholder_in_address_are_refused(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("https://github.com/OWNER/banners")
    with pytest.raises(NotReleasable, match=f"{name}: replace OWNER"):
        release_notes.release_notes("v0.2.0", root=root)


def test_command_prints_the_reason(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["release_notes.py", "v9.9.9"])
    with pytest.raises(SystemExit, match="1"):
        release_notes.main()
    assert capsys.readouterr().err.startswith("the tag is v9.9.9, and the version")
