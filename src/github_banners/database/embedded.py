"""
A PostgreSQL of our own: made, started, watched over and stopped as a child process.

It listens on a Unix socket only and ends with us, however we end; if it dies by itself it is started
again, since pictures are served meanwhile and a full disk is emptied by somebody some day. One folder has one server: a lock
beside it tells a server that is in use from one that a killed run has left behind.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from psycopg.conninfo import make_conninfo

from github_banners.database.embedded_binaries import (
    MAJOR_VERSION,
    ServerAccount,
    choose_server_account,
    find_programs,
    require_account_name,
)
from github_banners.database.embedded_process import (
    find_reason,
    run_process,
    start_process,
    stop_on_exit,
    stop_process,
)
from github_banners.errors import ConfigurationError

_log = structlog.get_logger(__name__)

_SOCKET_NAME = ".s.PGSQL.5432"
# The shortest limit of the systems we run on: 103 bytes on macOS, 107 on Linux.
_MAX_SOCKET_PATH_BYTES = 103
_START_TIMEOUT_SECONDS = 60.0
_STOP_TIMEOUT_SECONDS = 5.0
_RESTART_DELAYS_SECONDS = (0.2, 5.0)  # the first pause, which doubles up to the last one
_STABLE_AFTER_SECONDS = 60.0
_POLL_SECONDS = 0.02

_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "32MB",
    "log_checkpoints": "off",
    # The first change of a page after a checkpoint writes all of it to the WAL.
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "timezone": "UTC",
}


@contextmanager
def run_embedded_server(
    data_dir: Path,
    *,
    on_progress: Callable[[str], None],
    options: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """
    Run the server of a folder, which is made if it isn't there; gives its conninfo.

    Enter it on the main thread: on Linux the server dies with the thread that started it. A server
    that dies is started again with the same conninfo, at pauses of 0.2 to 5 s. `report` is told what
    takes time, in sentences. `options` are further settings of PostgreSQL.

    :raises ConfigurationError: not installed, or the folder can't be used
    """
    data_dir = Path(os.path.abspath(data_dir))  # noqa: PTH100 (symbolic links stay as they are)
    with ExitStack() as stack:
        with folder_errors(data_dir):
            stack.enter_context(_locked(data_dir))
            account = choose_server_account(data_dir)
            programs = find_programs(data_dir, account=account, on_progress=on_progress)
            _prepare(data_dir, programs=programs, account=account, on_progress=on_progress)
            folder = stack.enter_context(_socket_dir(data_dir, account))
            settings = {"unix_socket_directories": str(folder), **_OPTIONS, **(options or {})}
            command = [str(programs / "postgres"), "-D", str(data_dir), *_to_arguments(settings)]
            start = partial(start_process, command, log=_log_path(data_dir), account=account)
            server = stack.enter_context(stop_on_exit(start()))
            _wait_until_ready(server, data_dir)
            stack.enter_context(_Supervisor(server, data_dir, start=start))
        yield make_conninfo(host=str(folder), user="postgres", dbname="postgres", port=5432)


@contextmanager
def folder_errors(data_dir: Path) -> Iterator[None]:
    """Turn what the system says about the folder into a sentence."""
    try:
        yield
    except OSError as exc:
        raise ConfigurationError(
            f"the database can't be kept in {data_dir} ({exc.strerror}):"
            " set DATA_DIR to a folder that you can write to"
        ) from exc


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    _make_parents(data_dir)
    # Ours alone: whoever may read a file may lock it.
    path = data_dir.with_name(f"{data_dir.name}.lock")
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"another github-banners is using the database in {data_dir}:"
                " stop it, or set DATA_DIR to another folder"
            ) from None
        yield


def _make_parents(data_dir: Path) -> None:
    """Make missing folders so that another account can pass through them, whatever the umask."""
    for folder in reversed(data_dir.parents):
        if not folder.exists():
            folder.mkdir()
            folder.chmod(0o755)


def _prepare(
    data_dir: Path,
    *,
    programs: Path,
    account: ServerAccount | None,
    on_progress: Callable[[str], None],
) -> None:
    """See to it that the folder holds a database that nobody is using."""
    _log_path(data_dir).write_bytes(b"")
    check_data_version(data_dir)
    _stop_stale_server(data_dir, on_progress=on_progress)
    if not (data_dir / "PG_VERSION").exists():
        on_progress(f"Making a database in {data_dir}")
        _create(data_dir, programs=programs, account=account)


def check_data_version(data_dir: Path) -> None:
    """
    Check that the data folder was written by the PostgreSQL version that is installed.

    :raises ConfigurationError: it holds the data of another version, or something else
    """
    if not data_dir.exists() or not any(data_dir.iterdir()):
        return
    version_file = data_dir / "PG_VERSION"
    version = version_file.read_text().strip() if version_file.exists() else None
    if version is None:
        raise ConfigurationError(
            f"{data_dir} holds files that are no database: set DATA_DIR to another folder"
        )
    if version != str(MAJOR_VERSION):
        raise ConfigurationError(
            f"the database in {data_dir} was made by PostgreSQL {version} and this is {MAJOR_VERSION}:"
            " move it away, or run a server of your own on it and set DB_HOST"
        )


def _create(data_dir: Path, *, programs: Path, account: ServerAccount | None) -> None:
    """Make a new database under another name first, so that half of one is never taken for whole."""
    require_account_name(account)
    draft = data_dir.with_name(f".{data_dir.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if account is not None:
        os.chown(draft, account.uid, account.gid)
    command = [str(programs / "initdb"), "-D", str(draft), "-U", "postgres", "--auth=trust"]
    command += ["--encoding=UTF8", "--locale=C", "--no-instructions"]
    log = _log_path(data_dir)
    with run_process(command, log=log, account=account) as initdb:
        if initdb.wait() != 0:
            raise ConfigurationError(
                f"the database can't be made in {data_dir}: {find_reason(log)}"
            )
    draft.rename(data_dir)


@contextmanager
def _socket_dir(data_dir: Path, account: ServerAccount | None) -> Iterator[Path]:
    """Choose where the socket lies: with the data, or where that path is too long, on its own."""
    is_short = len(os.fsencode(data_dir / _SOCKET_NAME)) <= _MAX_SOCKET_PATH_BYTES
    # A comma would separate two hosts for libpq, and two folders for the server; a quote begins a name.
    if is_short and not set(str(data_dir)) & set(',"'):
        yield data_dir
        return
    with tempfile.TemporaryDirectory(prefix="banners-", dir="/tmp") as name:
        if account is not None:
            os.chown(name, account.uid, account.gid)
        yield Path(name)


def _to_arguments(settings: Mapping[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


class _Supervisor:
    """Starts the server again whenever it dies, until the end; then stops it."""

    def __init__(
        self,
        server: subprocess.Popen[bytes],
        data_dir: Path,
        *,
        start: Callable[[], subprocess.Popen[bytes]],
    ) -> None:
        self._server = server
        self._data_dir = data_dir
        self._start = start
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        # It lives as long as we do, and so may the servers that it starts.
        self._thread = threading.Thread(
            target=self._restart_loop, name="watch postgres", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._stopping.set()
        stop_process(self._server)
        self._thread.join()

    def _restart_loop(self) -> None:
        first_pause, longest_pause = _RESTART_DELAYS_SECONDS
        pause = first_pause
        while True:
            begun = time.monotonic()
            code = self._server.wait()
            if self._stopping.is_set():
                return
            if time.monotonic() - begun >= _STABLE_AFTER_SECONDS:
                pause = first_pause
            reason = find_reason(_log_path(self._data_dir))
            _log.error("database.server_died", code=code, reason=reason, again_in_seconds=pause)
            if self._stopping.wait(pause):
                return
            pause = min(2 * pause, longest_pause)
            self._restart()

    def _restart(self) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            try:
                # Its note names a process that we have collected, and perhaps somebody else's by now.
                (self._data_dir / "postmaster.pid").unlink(missing_ok=True)
                self._server = self._start()
            except OSError as error:
                _log.error("database.server_not_started", reason=str(error))


def _wait_until_ready(server: subprocess.Popen[bytes], data_dir: Path) -> None:
    """Wait for the server's own word; that somebody answers on the socket proves nothing."""
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        status = read_postmaster_pid(data_dir)
        if len(status) >= 8 and status[0] == str(server.pid) and status[7] == "ready":
            return
        if server.poll() is not None:
            break
        time.sleep(_POLL_SECONDS)
    reason = find_reason(_log_path(data_dir))
    raise ConfigurationError(f"the database in {data_dir} does not start: {reason}")


def read_postmaster_pid(data_dir: Path) -> list[str]:
    """
    Read the lines of `postmaster.pid`: 1 the server's process, 8 how far it has come.

    https://github.com/postgres/postgres/blob/master/src/include/utils/pidfile.h
    """
    try:
        text = (data_dir / "postmaster.pid").read_text()
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines()]


def _stop_stale_server(data_dir: Path, *, on_progress: Callable[[str], None]) -> None:
    """Stop the server that a killed run has left on the folder, which we have claimed."""
    status = read_postmaster_pid(data_dir)
    if not status or not status[0].isdecimal():
        return
    pid = int(status[0])
    if _is_our_server(pid, data_dir):
        on_progress("Stopping the database server that an earlier run has left behind")
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if _is_our_server(pid, data_dir):
            os.kill(pid, number)
            _wait_until_stopped(pid, data_dir)
    # What it left names a process that is no server of ours, perhaps somebody else's by now.
    (data_dir / "postmaster.pid").unlink(missing_ok=True)


def _wait_until_stopped(pid: int, data_dir: Path) -> None:
    deadline = time.monotonic() + _STOP_TIMEOUT_SECONDS
    while time.monotonic() < deadline and _is_our_server(pid, data_dir):
        time.sleep(_POLL_SECONDS)


def _is_our_server(pid: int, data_dir: Path) -> bool:
    """Tell whether a process is a PostgreSQL whose data is this folder; it works inside of it."""
    if Path("/proc/self").exists():
        process = Path(f"/proc/{pid}")
        try:
            program = (process / "exe").readlink().name
            return program.startswith("postgres") and (process / "cwd").samefile(data_dir)
        except FileNotFoundError:
            return False
    question = ["/bin/ps", "-o", "command=", "-p", str(pid)]
    answer = subprocess.run(question, check=False, capture_output=True, text=True)  # noqa: S603
    return "postgres" in answer.stdout and f"-D {data_dir} " in answer.stdout


def _log_path(data_dir: Path) -> Path:
    return data_dir.with_name(f"{data_dir.name}.log")
