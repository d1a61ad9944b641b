"""Run a script that starts and stops a server of this machine."""

import subprocess
import sys
from pathlib import Path

_TIMEOUT_SECONDS = 300  # the first start downloads the server


def run_script(script: Path, command: str, folder: Path, *options: str) -> str:
    """
    Run a command of a script for the server in a folder, and return its output.

    :raises RuntimeError: the command failed
    """
    finished = subprocess.run(
        [sys.executable, str(script), command, "--dir", str(folder), *options],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    if finished.returncode:
        raise RuntimeError(finished.stderr.strip() or finished.stdout)
    return finished.stdout
