"""
Embedded PostgreSQL: create, start, supervise and stop a server as a child process.

The server listens on a Unix socket only, and stops with the parent process, even a killed one. If it
dies it is restarted for ever: cached pictures are served meanwhile, and disk space may be freed
later. A lock file beside the data folder distinguishes a server in use from one that a killed run
has left behind.
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

from github_banners.backoff import STABLE_AFTER_SECONDS, backoff_delay
from github_banners.database.embedded_binaries import (
    MAJOR_VERSION,
    ServerAccount,
    choose_server_account,
    find_package_dir,
    find_programs,
    require_account_name,
)
from github_banners.database.embedded_process import (
    find_reason,
    start_process,
    stop_on_exit,
    stop_process,
)
from github_banners.errors import ConfigurationError, DatabaseInUse

_log = structlog.get_logger(__name__)

_SOCKET_NAME = ".s.PGSQL.5432"
# Maximum length of a socket path: 103 bytes on macOS, 107 on Linux.
_MAX_SOCKET_PATH_BYTES = 103
_START_TIMEOUT_SECONDS = 60.0
_STOP_TIMEOUT_SECONDS = 5.0
_RESTART_DELAYS_SECONDS = (0.2, 5.0)  # the first and the longest delay
_POLL_SECONDS = 0.02
_SOCKET_DIR_LINE = 4  # of postmaster.pid

_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "32MB",
    "log_checkpoints": "off",
    # Fewer checkpoints: the first change of a page after each writes the whole page to the WAL.
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
    Run the server of a data folder, which is created if missing; yield its conninfo.

    Enter the context on the main thread: on Linux the server dies with the thread that started it. A
    server that dies is restarted with the same conninfo, after 0.2 to 5 s. `on_progress` receives a
    sentence before each slow step. `options` are additional PostgreSQL settings.

    :raises ConfigurationError: PostgreSQL is not installed, or the folder can't be used
    """
    data_dir = Path(os.path.abspath(data_dir))  # noqa: PTH100 (keeps symbolic links)
    with ExitStack() as stack:
        with _folder_errors(data_dir):
            stack.enter_context(_locked(data_dir))
            account = choose_server_account(data_dir)
            programs = find_programs(data_dir, account=account, on_progress=on_progress)
            _prepare(data_dir, programs=programs, account=account, on_progress=on_progress)
            socket_dir = stack.enter_context(_socket_dir(data_dir, account))
            settings = {"unix_socket_directories": str(socket_dir), **_OPTIONS, **(options or {})}
            command = [str(programs / "postgres"), "-D", str(data_dir), *_to_arguments(settings)]
            start = partial(start_process, command, log=log_path(data_dir), account=account)
            server = stack.enter_context(stop_on_exit(start()))
            wait_until_ready(server, data_dir)
            stack.enter_context(_Supervisor(server, data_dir, start=start))
        yield _make_conninfo(str(socket_dir))


@contextmanager
def use_embedded_server(data_dir: Path, *, on_progress: Callable[[str], None]) -> Iterator[str]:
    """
    Yield the conninfo of a folder's server; if none runs, run one until the context ends.

    :raises ConfigurationError: the folder has no database, or as `run_embedded_server`
    """
    with _folder_errors(data_dir):
        if not (data_dir / "PG_VERSION").exists():
            raise ConfigurationError(
                f"there is no database in {data_dir}: set DATA_DIR to the folder that `serve` uses,"
                " or DB_HOST"
            )
    with ExitStack() as stack:
        try:
            conninfo = stack.enter_context(run_embedded_server(data_dir, on_progress=on_progress))
        except DatabaseInUse:
            running = find_embedded_conninfo(data_dir)
            if running is None:
                raise
            conninfo = running
        yield conninfo


def find_embedded_conninfo(data_dir: Path) -> str | None:
    """
    Return the conninfo of a folder's running server, None if it does not run; changes nothing.

    :raises ConfigurationError: PostgreSQL is not installed, or the folder can't be used
    """
    find_package_dir()
    with _folder_errors(data_dir):
        _check_data_version(data_dir)
        lines = _read_postmaster_pid(data_dir)
    return _make_conninfo(lines[_SOCKET_DIR_LINE]) if len(lines) > _SOCKET_DIR_LINE else None


def _make_conninfo(socket_dir: str) -> str:
    return make_conninfo(host=socket_dir, user="postgres", dbname="postgres", port=5432)


@contextmanager
def _folder_errors(data_dir: Path) -> Iterator[None]:
    """Translate OSError to ConfigurationError with advice."""
    try:
        yield
    except OSError as exc:
        raise ConfigurationError(
            f"the database can't be stored in {data_dir} ({exc.strerror}):"
            " set DATA_DIR to a folder that you can write to"
        ) from exc


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    _make_parents(data_dir)
    # Mode 600, because any user who may read a file may lock it.
    path = data_dir.with_name(f"{data_dir.name}.lock")
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatabaseInUse(
                f"another github-banners is using the database in {data_dir}:"
                " stop it, or set DATA_DIR to another folder"
            ) from None
        yield


def _make_parents(data_dir: Path) -> None:
    """Create missing parent folders with mode 755, whatever the umask: the server may run as nobody."""
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
    """Ensure that the folder contains a database that no other server is using."""
    log_path(data_dir).write_bytes(b"")
    _check_data_version(data_dir)
    _stop_stale_server(data_dir, on_progress=on_progress)
    if not (data_dir / "PG_VERSION").exists():
        on_progress(f"Creating a database in {data_dir}")
        create_database(data_dir, programs=programs, account=account)


def _check_data_version(data_dir: Path) -> None:
    """
    Check that a data folder is empty or was written by the installed PostgreSQL version.

    :raises ConfigurationError: it contains data of another version, or other files
    """
    if not data_dir.exists() or not any(data_dir.iterdir()):
        return
    version_file = data_dir / "PG_VERSION"
    version = version_file.read_text().strip() if version_file.exists() else None
    if version is None:
        raise ConfigurationError(
            f"{data_dir} contains files that are not a database: set DATA_DIR to another folder"
        )
    if version != str(MAJOR_VERSION):
        raise ConfigurationError(
            f"the database in {data_dir} was created by PostgreSQL {version}, not {MAJOR_VERSION}:"
            " move it away, or run a server of your own on it and set DB_HOST"
        )


def create_database(data_dir: Path, *, programs: Path, account: ServerAccount | None) -> None:
    """Create a database in a temporary folder, so that an interrupted run leaves no partial one."""
    require_account_name(account)
    temporary = data_dir.with_name(f".{data_dir.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(mode=0o700)
    if account is not None:
        os.chown(temporary, account.uid, account.gid)
    command = [str(programs / "initdb"), "-D", str(temporary), "-U", "postgres", "--auth=trust"]
    command += ["--encoding=UTF8", "--locale=C", "--no-instructions"]
    log = log_path(data_dir)
    with stop_on_exit(start_process(command, log=log, account=account)) as initdb:
        if initdb.wait() != 0:
            raise ConfigurationError(
                f"the database can't be created in {data_dir}: {find_reason(log)}"
            )
    temporary.rename(data_dir)


@contextmanager
def _socket_dir(data_dir: Path, account: ServerAccount | None) -> Iterator[Path]:
    """Yield the socket's folder: the data folder, or a temporary one if that path can't be used."""
    is_short = len(os.fsencode(data_dir / _SOCKET_NAME)) <= _MAX_SOCKET_PATH_BYTES
    # A comma separates hosts for libpq and folders for the server; a quote starts a quoted name.
    if is_short and not set(str(data_dir)) & set(',"'):
        yield data_dir
        return
    with tempfile.TemporaryDirectory(prefix="banners-", dir="/tmp") as name:
        if account is not None:
            os.chown(name, account.uid, account.gid)
        yield Path(name)


def _to_arguments(settings: Mapping[str, str]) -> list[str]:
    return [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]


class _Supervisor:
    """Restart the server whenever it dies; stop it on exit."""

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
        # A server dies with the thread that started it, so the thread lasts as long as the context.
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
        first, maximum = _RESTART_DELAYS_SECONDS
        failures = 0
        while True:
            started_at = time.monotonic()
            code = self._server.wait()
            if self._stopping.is_set():
                return
            if time.monotonic() - started_at >= STABLE_AFTER_SECONDS:
                failures = 0
            failures += 1
            delay = backoff_delay(failures, first=first, maximum=maximum)
            reason = find_reason(log_path(self._data_dir))
            _log.error("database.server_died", code=code, reason=reason, retry_seconds=delay)
            if self._stopping.wait(delay):
                return
            self._restart()

    def _restart(self) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            try:
                # Its process has ended, and another program may have the same id by now.
                (self._data_dir / "postmaster.pid").unlink(missing_ok=True)
                self._server = self._start()
            except OSError as error:
                _log.error("database.server_not_started", reason=str(error))


def wait_until_ready(server: subprocess.Popen[bytes], data_dir: Path) -> None:
    """Wait until the server reports ready in its pid file: another server could use the socket."""
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        lines = _read_postmaster_pid(data_dir)
        if len(lines) >= 8 and lines[0] == str(server.pid) and lines[7] == "ready":
            return
        if server.poll() is not None:
            break
        time.sleep(_POLL_SECONDS)
    reason = find_reason(log_path(data_dir))
    raise ConfigurationError(f"the database in {data_dir} does not start: {reason}")


def _read_postmaster_pid(data_dir: Path) -> list[str]:
    """
    Return the lines of `postmaster.pid`: the first is the process id, the eighth the status.

    https://github.com/postgres/postgres/blob/master/src/include/utils/pidfile.h
    """
    try:
        text = (data_dir / "postmaster.pid").read_text()
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines()]


def _stop_stale_server(data_dir: Path, *, on_progress: Callable[[str], None]) -> None:
    """Stop a server that a killed run has left behind; the folder must be locked."""
    lines = _read_postmaster_pid(data_dir)
    if not lines or not lines[0].isdecimal():
        return
    pid = int(lines[0])
    if _is_our_server(pid, data_dir):
        on_progress("Stopping the database server that an earlier run has left behind")
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if _is_our_server(pid, data_dir):
            os.kill(pid, number)
            _wait_until_stopped(pid, data_dir)
    # The process is not our server: postgres would refuse to start if another program has this id.
    (data_dir / "postmaster.pid").unlink(missing_ok=True)


def _wait_until_stopped(pid: int, data_dir: Path) -> None:
    deadline = time.monotonic() + _STOP_TIMEOUT_SECONDS
    while time.monotonic() < deadline and _is_our_server(pid, data_dir):
        time.sleep(_POLL_SECONDS)


def _is_our_server(pid: int, data_dir: Path) -> bool:
    """Return True if a process is a PostgreSQL server in this folder, its working directory."""
    if Path("/proc/self").exists():
        process = Path(f"/proc/{pid}")
        try:
            program = (process / "exe").readlink().name
            return program.startswith("postgres") and (process / "cwd").samefile(data_dir)
        except FileNotFoundError:
            return False
    command = ["/bin/ps", "-o", "command=", "-p", str(pid)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    return "postgres" in result.stdout and f"-D {data_dir} " in result.stdout


def log_path(data_dir: Path) -> Path:
    """Return the log file of the server of a data folder."""
    return data_dir.with_name(f"{data_dir.name}.log")
