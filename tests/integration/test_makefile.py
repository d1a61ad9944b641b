"""`make install` creates `.venv`, and recovers from an attempt that has failed before."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
# Like Debian's Python without python3-venv: `python3 -m venv` creates the programs, but no pip.
PYTHON = """#!/bin/sh
test "$1 $2" = "-m venv" || exit 0
test "$3" = --clear && rm -rf "$4"
mkdir -p "$4/bin"
echo 'exit 1' >"$4/bin/python" && chmod +x "$4/bin/python"
test -e ensurepip || exit 1
printf '#!/bin/sh\\necho "$@" >>installed\\n' >"$4/bin/pip" && chmod +x "$4/bin/pip"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with a Python that has no `ensurepip`."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, tmp_path)
    python = tmp_path / "python3"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return tmp_path


def make_install(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", f"PYTHON={folder}/python3", "install"],
        cwd=folder, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
        timeout=30,
    )  # fmt: skip


def test_install_without_ensurepip_names_the_package(checkout: Path) -> None:
    result = make_install(checkout)
    assert result.returncode == 2
    assert "On Debian and Ubuntu it needs a package: apt install python3-venv\n" in result.stderr
    assert "Installing" not in result.stdout


def test_install_after_a_failure_succeeds(checkout: Path) -> None:
    make_install(checkout)
    assert (checkout / ".venv/bin/python").exists()
    (checkout / ".venv/rest").touch()
    (checkout / "ensurepip").touch()
    result = make_install(checkout)
    assert result.returncode == 0, result.stderr
    assert (checkout / "installed").read_text().startswith("install --quiet")
    assert not (checkout / ".venv/rest").exists()
    assert (checkout / ".venv/.installed").exists()


def test_install_with_pip_keeps_the_environment(checkout: Path) -> None:
    (checkout / "ensurepip").touch()
    make_install(checkout)
    (checkout / ".venv/rest").touch()
    (checkout / ".venv/.installed").unlink()
    result = make_install(checkout)
    assert "Creating" not in result.stdout
    assert (checkout / ".venv/rest").exists()
