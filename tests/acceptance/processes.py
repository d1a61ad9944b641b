"""Run the command as users do, as a process."""

import atexit
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx2

READY_SECONDS = 60
_ADDRESS = re.compile(r"https?://[^\s]+")
_INHERITED = {"PATH", "HOME", "LANG", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"}

_PORTS_PER_WORKER = 4_000
_FIRST_PORT = 10_000 + _PORTS_PER_WORKER * (
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 5
)
_PORTS = iter(random.sample(range(_FIRST_PORT, _FIRST_PORT + _PORTS_PER_WORKER, 2), k=2_000))


@dataclass
class Running:
    """A process that has printed its URL; `errors` are the lines of its standard error."""

    process: subprocess.Popen[str]
    url: str
    errors: list[str] = field(default_factory=list)

    def get(self, path: str, **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx2.get(self.url + path, headers=named, timeout=30, trust_env=False)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def environment(**settings: str) -> dict[str, str]:
    """Return an environment with these settings only, and a readable log format."""
    inherited = {name: value for name, value in os.environ.items() if name in _INHERITED}
    return {**inherited, "LOG_FORMAT": "text", **settings}


@contextmanager
def running(
    *arguments: str, env: Mapping[str, str] | None = None, module: str = "github_banners"
) -> Iterator[Running]:
    """Start a command, wait until it prints its URL, and stop it at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=dict(env or environment()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    errors: list[str] = []
    reader = threading.Thread(target=_collect, args=(process.stderr, errors), daemon=True)
    reader.start()
    try:
        yield Running(process, _first_address(process, errors), errors)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        reader.join(5)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def run(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command, and wait until it ends."""
    return subprocess.run(
        [sys.executable, "-m", "github_banners", *arguments],
        env=dict(env or environment()),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def free_port() -> int:
    """
    Return a port that is not in use, and that neither connections nor other tests take.

    It is below the range from which connections take theirs. A process returns each port once, pytest's
    workers take theirs from different ranges, and the port after it stays free too.
    """
    for port in _PORTS:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("this process has used all its ports")


@contextmanager
def reachable_dir() -> Iterator[Path]:
    """Create a folder that the embedded PostgreSQL can read even if the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="banners-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def prepared_data_dir(*, demo: bool = False) -> Iterator[Path]:
    """Create a DATA_DIR in which `serve`, or `serve --demo`, finds a database with all tables."""
    with reachable_dir() as folder:
        copy_prepared_database(folder / ("demo" if demo else "postgresql"))
        yield folder


def copy_prepared_database(target: Path) -> None:
    """Copy a database with all tables: a service starts in half a second with it, rather than two."""
    copy_data_folder(_prepared_database(), target)


def copy_data_folder(source: Path, target: Path) -> None:
    """Copy the data folder of a stopped PostgreSQL, whose account keeps owning the files."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


@cache
def _prepared_database() -> Path:
    """Create a database with all tables, and return its data folder."""
    folder = Path(tempfile.mkdtemp(prefix="banners-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with running("serve", env=environment(PORT="0", DATA_DIR=str(folder))) as service:
        assert service.get("/readyz").json()["degraded"] == []
        service.stop()
    # Tests kill processes, but not the machine. After a kill, PostgreSQL syncs every file of a copy.
    with (folder / "postgresql" / "postgresql.conf").open("a") as configuration:
        configuration.write("fsync = off\n")
    return folder / "postgresql"


def find_processes(data_dir: Path) -> list[str]:
    """Return the command lines of the processes with a folder in their arguments."""
    commands = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(data_dir) in command:
            commands.append(command)
    return commands


def _first_address(process: subprocess.Popen[str], errors: list[str]) -> str:
    timer = threading.Timer(READY_SECONDS, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            address = _ADDRESS.search(line)
            if address is not None:
                return address.group()
    finally:
        timer.cancel()
    raise AssertionError("the command printed no URL:\n" + "".join(errors))


def _collect(stream: Iterator[str] | None, lines: list[str]) -> None:
    lines.extend(stream or ())
