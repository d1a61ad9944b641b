"""Commands whose standard streams are closed, or can't be written."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.processes import environment

BANNERS = (sys.executable, "-m", "github_banners")
UNREACHABLE = {"GITHUB_API_URL": "http://127.0.0.1:9", "GITHUB_TOKENS": ""}


def run_in_shell(
    command: str, redirections: str, data_dir: Path
) -> subprocess.CompletedProcess[bytes]:
    """Run a command of github-banners with redirections of a shell."""
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirections}', "sh", *BANNERS, *command.split()],
        env=environment(**UNREACHABLE, DATA_DIR=str(data_dir)),
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["check", "render ada"])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_command_with_closed_streams_ends_as_usual(
    data_dir: Path, command: str, closed: str
) -> None:
    """libuv aborts a process that closes a descriptor of a standard stream."""
    result = run_in_shell(command, closed, data_dir)
    assert result.returncode == 1
    assert b"Traceback" not in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("command", ["check", "--help", "serve --demo --port 0"])
def test_command_that_cannot_write_its_output_says_so(data_dir: Path, command: str) -> None:
    result = run_in_shell(command, ">/dev/full", data_dir)
    assert result.returncode == 1
    reason = b"Standard output can't be written: No space left on device.\n"
    assert result.stderr.endswith(reason)
    assert b"Traceback" not in result.stderr


def test_other_error_of_the_system_is_not_blamed_on_the_output() -> None:
    """An error of a socket or of a full disk has no file name either."""
    program = (
        "from github_banners import cli\n"
        "def fail(): raise ConnectionRefusedError(111, 'Connection refused')\n"
        "cli.app = fail\n"
        "cli.main()"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ended.returncode == 1
    assert b"Standard output" not in ended.stderr
    assert ended.stderr.rstrip().endswith(b"Connection refused")
