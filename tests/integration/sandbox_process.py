"""
Run the sandbox on a real port in a child process: `running_sandbox` for tests, `_serve` in the child.
"""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from github_sandbox import create_app
from tests.acceptance.processes import free_port

_ROOT = Path(__file__).parents[2]


@contextmanager
def running_sandbox(*, recordings: Path | None = None) -> Iterator[str]:
    """Start a sandbox, yield its URL, and stop it afterwards."""
    port = free_port()
    command = [sys.executable, "-m", "tests.integration.sandbox_process", str(port)]
    with subprocess.Popen(
        [*command, str(recordings or "")], cwd=_ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            _wait_until_open(child, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            child.send_signal(signal.SIGTERM)
            child.communicate(timeout=30)


def _wait_until_open(child: subprocess.Popen[str], port: int) -> None:
    while child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"the sandbox exited with {child.returncode}")


def _serve(port: int, recordings: Path | None) -> None:
    # uvicorn raises the signal again when it has shut down; by default that ends the process
    # before coverage data is written.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app = create_app(recordings=recordings)
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False)


if __name__ == "__main__":
    _port, _directory = sys.argv[1:]
    _serve(int(_port), Path(_directory) if _directory else None)
