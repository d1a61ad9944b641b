"""A tag is released only if version, CHANGELOG and addresses fit to it."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import release_notes
from release_notes import NotReleasable

from github_banners import __version__

CONTRIBUTING = (release_notes.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DOCUMENTED = "\n".join(re.findall(r"^git grep .*OWNER.*$", CONTRIBUTING, re.MULTILINE))
EVERYWHERE = "git grep -lw OWNER | xargs perl -pi -e 's#OWNER/github-banners#octo/github-banners#g'"
# Tests that read files with addresses.
READERS = (
    "tests/architecture/test_project_files.py",
    "tests/unit/test_docs.py",
    "tests/unit/test_release_notes.py",
    "tests/acceptance/test_action.py::test_documented_workflow_is_usable",
)

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


def copy_if_it_exists(source: str, target: str) -> None:
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


@pytest.mark.parametrize("command", [DOCUMENTED, EVERYWHERE], ids=["documented", "everywhere"])
def test_replacing_the_placeholder_allows_a_release(command: str, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    # Other tests create and remove files of coverage and Hypothesis meanwhile.
    ignored = shutil.ignore_patterns(
        *(".git", ".venv*", ".*_cache", "__pycache__", "build", "var", ".coverage*", ".hypothesis")
    )
    shutil.copytree(
        release_notes.ROOT, checkout, symlinks=True, ignore=ignored, copy_function=copy_if_it_exists
    )

    def run(*words: str) -> str:
        # Without the variables by which coverage measures subprocesses.
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(checkout / "src")}
        result = subprocess.run(
            words, cwd=checkout, env=env, check=False, capture_output=True, text=True, timeout=60
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    run("git", "init", "--quiet")
    run("git", "add", ".")
    run("sh", "-c", command)
    readme = (checkout / "README.md").read_text(encoding="utf-8")
    assert "git clone https://github.com/octo/github-banners" in readme
    assert run(sys.executable, "scripts/release_notes.py", f"v{__version__}") != ""
    plugins = ("-p", "no:xdist", "-p", "no:schemathesis", "-p", "no:cacheprovider")
    run(sys.executable, "-m", "pytest", "-q", *plugins, "-k", "not replacing", *READERS)
