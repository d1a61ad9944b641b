"""
An S3 server for tests: S3Proxy over a folder, in a process of its own.

Tests that need it are skipped where it or Java is missing.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.processes import free_port
from tests.integration.local_script import run_script
from tests.resources import S3_LOCAL, explain_missing

BUCKET = "banners"
REGION = "us-east-1"
ACCESS_KEY = "local-identity"
SECRET_KEY = "local-credential"


class S3Server:
    """S3Proxy on a free port; `folder` contains its data, also while it is down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()

    def start(self) -> None:
        self._run("start", "--bucket", BUCKET, "--port", str(self.port))

    def kill(self) -> None:
        """Kill the server, like a power failure."""
        self._run("kill")

    def restart(self) -> None:
        """Start again on the same port, also after a `kill`."""
        self._run("restart")

    def stop(self) -> None:
        self._run("stop")

    def _run(self, command: str, *options: str) -> str:
        return run_script(S3_LOCAL, command, self.folder, *options)


@contextmanager
def start_s3(folder: Path) -> Iterator[S3Server]:
    """Start a server; skip the test if this machine can't run it."""
    if not S3_LOCAL.is_file():
        pytest.skip(f"no S3: {explain_missing(S3_LOCAL)}")
    if shutil.which("java") is None:
        pytest.skip("no S3: Java is missing")
    server = S3Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def bucket_environment(port: int) -> dict[str, str]:
    """Return the variables with which our services reach the server on a port."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }
