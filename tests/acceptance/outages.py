"""What can be taken away from a service, and given back: GitHub, PostgreSQL, room on a disk."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from github_banners.database import embedded, embedded_binaries, embedded_process
from tests.acceptance.processes import Running, free_port, running

_FIFTEEN = Path("/usr/lib/postgresql/15/bin")


class GitHub:
    """A stand-in for GitHub on a port of its own, to be broken, frozen and taken away."""

    def __init__(self) -> None:
        self._port = free_port()
        self._stack = ExitStack()
        self._process: Running | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._process = self._stack.enter_context(running("sandbox", "--port", str(self._port)))

    def close(self) -> None:
        self._stack.close()

    @contextmanager
    def failing(self, failures: str) -> Iterator[None]:
        """Fail every question in one way, or in several that take turns."""
        self._break(fail=failures.split(","))
        try:
            yield
        finally:
            self._break()

    @contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Let every answer wait."""
        self._break(latency_seconds=seconds)
        try:
            yield
        finally:
            self._break()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Take connections and say nothing."""
        assert self._process is not None
        with frozen(self._process.process.pid):
            yield

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Take no connections."""
        assert self._process is not None
        self._process.stop(signal.SIGKILL)
        self.close()
        try:
            yield
        finally:
            self.start()

    def _break(self, **faults: object) -> None:
        httpx2.put(self.url + "/_sandbox/faults", json=faults).raise_for_status()


class Postgres:
    """A PostgreSQL on a port of its own, to be started, killed and frozen."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "foreign"
        self._port = free_port()
        account = embedded_binaries.choose_server_account(self.data_dir)
        programs = _FIFTEEN
        if not programs.exists():
            programs = embedded_binaries.find_programs(
                self.data_dir, account=account, on_progress=print
            )
        self._account, self._programs = account, programs
        embedded._create(self.data_dir, programs=programs, account=account)
        self._stack = ExitStack()
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def conninfo(self) -> str:
        return f"host=127.0.0.1 port={self._port} user=postgres dbname=postgres"

    @property
    def settings(self) -> dict[str, str]:
        """How a service finds it."""
        where = {"DB_HOST": "127.0.0.1", "PGPORT": str(self._port)}
        return {**where, "POSTGRES_USER": "postgres", "POSTGRES_DB": "postgres"}

    def start(self) -> None:
        settings = {
            "unix_socket_directories": str(self.data_dir),
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "fsync": "off",
        }
        command = [str(self._programs / "postgres"), "-D", str(self.data_dir)]
        command += embedded._to_arguments(settings)
        log = embedded._log_path(self.data_dir)
        self._server = self._stack.enter_context(
            embedded_process.run_process(command, log=log, account=self._account)
        )
        embedded._wait_until_ready(self._server, self.data_dir)

    def close(self) -> None:
        self._stack.close()

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Be away: the server is killed, and started again at the end."""
        assert self._server is not None
        for pid in family(self._server.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.close()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Be there and say nothing, those who connect meanwhile included."""
        assert self._server is not None
        with frozen(self._server.pid):
            yield


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process and its children; a frozen parent has no new ones."""
    os.kill(pid, signal.SIGSTOP)
    stopped = family(pid)
    for one in stopped:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGSTOP)
    try:
        yield
    finally:
        for one in stopped:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


@contextmanager
def small_disk(folder: Path, *, size_bytes: int) -> Iterator[Path]:
    """A disk of its own, small enough to be filled."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=755", "tmpfs", str(folder)]
    may_mount = os.geteuid() == 0 and shutil.which("mount") is not None
    if not may_mount or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk, and not everywhere")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Fill a disk to the last byte."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()
