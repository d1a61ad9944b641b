"""A checkout in which OWNER was replaced, as CONTRIBUTING says, can be released."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import release_notes

from github_banners import __version__

CONTRIBUTING = (release_notes.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DOCUMENTED = "\n".join(re.findall(r"^git grep .*OWNER.*$", CONTRIBUTING, re.MULTILINE))
EVERYWHERE = "git grep -lw OWNER | xargs perl -pi -e 's#OWNER/github-banners#octo/github-banners#g'"
# Tests that read files with addresses.
READERS = (
    "tests/architecture/test_project_files.py",
    "tests/unit/test_documentation_links.py",
    "tests/acceptance/test_action.py::test_documented_workflow_is_usable",
)


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
            words, cwd=checkout, env=env, check=False, capture_output=True, text=True, timeout=110
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
    run(sys.executable, "-m", "pytest", "-q", *plugins, *READERS)
