"""The scripts that measure a filled database say so if it has too few owners."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.database.population import fill
from tests.integration.database.samples import NOON

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).parents[3]
OWNERS = 40


@pytest.mark.parametrize(
    ("script", "minutes", "message"),
    [
        ("explain_statements", None, "The calls need 100,000 owners, and a database has 40."),
        ("measure_wal", "1", "40 owners are too few to refresh any in 1 minutes."),
        ("measure_wal", "100000", r"Only \d+ of 22,867 owners are due: give fewer MINUTES."),
    ],
)
def test_script_too_few_owners_ends_with_a_sentence(
    conninfo: str, script: str, minutes: str | None, message: str
) -> None:
    fill(conninfo, owners=OWNERS, now=NOON)
    command = [sys.executable, "-m", f"scripts.{script}", conninfo, minutes or conninfo]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert re.fullmatch(message, ended.stderr.strip())
