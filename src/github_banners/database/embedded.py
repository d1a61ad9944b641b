"""
A PostgreSQL of our own: made, started, watched over and stopped as a child process.

It listens on a Unix socket only and ends with us, however we end; if it dies by itself it is started
again, since pictures are served meanwhile and a full disk is emptied by somebody some day. One folder has one server: a lock
beside it tells a server that is in use from one that a killed run has left behind.
"""

import ctypes
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
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

from github_banners.database.embedded_files import (
    MAJOR,
    ServerAccount,
    find_programs,
    require_account_name,
    server_account,
)
from github_banners.errors import Misconfigured

_log = structlog.get_logger(__name__)

_SOCKET = ".s.PGSQL.5432"
# The shortest limit of the systems we run on: 103 bytes on macOS, 107 on Linux.
_SOCKET_PATH_MAX_BYTES = 103
_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_RESTART_SECONDS = (0.2, 5.0)  # the first pause, which doubles up to the last one
_STEADY_SECONDS = 60.0
_POLL_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1
# `2026-11-29 19:51:19.123 UTC [42] FATAL:  ...`, `initdb: error: ...`, `postgres: could not ...`
_ERROR_LINE = re.compile(r"\b(?:FATAL|PANIC):\s+(.+)|\berror: (.+)")
_LAST_LINES = 20
_STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM}

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
def running(
    data_dir: Path,
    *,
    report: Callable[[str], None],
    options: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """
    Run the server of a folder, which is made if it isn't there; gives its conninfo.

    Enter it on the main thread: on Linux the server dies with the thread that started it. A server
    that dies is started again with the same conninfo, at pauses of 0.2 to 5 s. `report` is told what
    takes time, in sentences. `options` are further settings of PostgreSQL.

    :raises Misconfigured: not installed, or the folder can't be used
    """
    data_dir = Path(os.path.abspath(data_dir))  # noqa: PTH100 (symbolic links stay as they are)
    with ExitStack() as stack:
        with _explained(data_dir):
            stack.enter_context(_claimed(data_dir))
            account = server_account(data_dir)
            programs = find_programs(data_dir, account=account, report=report)
            _prepare(data_dir, programs=programs, account=account, report=report)
            folder = stack.enter_context(_socket_dir(data_dir, account))
            settings = {"unix_socket_directories": str(folder), **_OPTIONS, **(options or {})}
            command = [str(programs / "postgres"), "-D", str(data_dir), *_as_arguments(settings)]
            start = partial(_start, command, log=_log_path(data_dir), account=account)
            server = stack.enter_context(_stopped_at_end(start()))
            _wait_until_ready(server, data_dir)
            stack.enter_context(_Watch(server, data_dir, start=start))
        yield make_conninfo(host=str(folder), user="postgres", dbname="postgres", port=5432)


@contextmanager
def _explained(data_dir: Path) -> Iterator[None]:
    """Turn what the system says about the folder into a sentence."""
    try:
        yield
    except OSError as exc:
        raise Misconfigured(
            f"the database can't be kept in {data_dir} ({exc.strerror}):"
            " set DATA_DIR to a folder that you can write to"
        ) from exc


@contextmanager
def _claimed(data_dir: Path) -> Iterator[None]:
    _make_parents(data_dir)
    # Ours alone: whoever may read a file may lock it.
    path = data_dir.with_name(f"{data_dir.name}.lock")
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Misconfigured(
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
    report: Callable[[str], None],
) -> None:
    """See to it that the folder holds a database that nobody is using."""
    _log_path(data_dir).write_bytes(b"")
    _check_version(data_dir)
    _stop_leftover(data_dir, report=report)
    if not (data_dir / "PG_VERSION").exists():
        report(f"Making a database in {data_dir}")
        _create(data_dir, programs=programs, account=account)


def _check_version(data_dir: Path) -> None:
    if not data_dir.exists() or not any(data_dir.iterdir()):
        return
    version_file = data_dir / "PG_VERSION"
    version = version_file.read_text().strip() if version_file.exists() else None
    if version is None:
        raise Misconfigured(
            f"{data_dir} holds files that are no database: set DATA_DIR to another folder"
        )
    if version != str(MAJOR):
        raise Misconfigured(
            f"the database in {data_dir} was made by PostgreSQL {version} and this is {MAJOR}:"
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
    with _spawned(command, log=log, account=account) as initdb:
        if initdb.wait() != 0:
            raise Misconfigured(f"the database can't be made in {data_dir}: {_reason(log)}")
    draft.rename(data_dir)


@contextmanager
def _socket_dir(data_dir: Path, account: ServerAccount | None) -> Iterator[Path]:
    """Choose where the socket lies: with the data, or where that path is too long, on its own."""
    is_short = len(os.fsencode(data_dir / _SOCKET)) <= _SOCKET_PATH_MAX_BYTES
    # A comma would separate two hosts for libpq, and two folders for the server; a quote begins a name.
    if is_short and not set(str(data_dir)) & set(',"'):
        yield data_dir
        return
    with tempfile.TemporaryDirectory(prefix="banners-", dir="/tmp") as name:
        if account is not None:
            os.chown(name, account.uid, account.gid)
        yield Path(name)


def _as_arguments(settings: Mapping[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


class _Watch:
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
        self._turn = threading.Lock()
        self._ending = threading.Event()
        # It lives as long as we do, and so may the servers that it starts.
        self._thread = threading.Thread(target=self._keep, name="watch postgres", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._turn:
            self._ending.set()
        _stop_child(self._server)
        self._thread.join()

    def _keep(self) -> None:
        first_pause, longest_pause = _RESTART_SECONDS
        pause = first_pause
        while True:
            begun = time.monotonic()
            code = self._server.wait()
            if self._ending.is_set():
                return
            if time.monotonic() - begun >= _STEADY_SECONDS:
                pause = first_pause
            reason = _reason(_log_path(self._data_dir))
            _log.error("database.server_died", code=code, reason=reason, again_in_seconds=pause)
            if self._ending.wait(pause):
                return
            pause = min(2 * pause, longest_pause)
            self._start_again()

    def _start_again(self) -> None:
        with self._turn:
            if self._ending.is_set():
                return
            try:
                # Its note names a process that we have collected, and perhaps somebody else's by now.
                (self._data_dir / "postmaster.pid").unlink(missing_ok=True)
                self._server = self._start()
            except OSError as error:
                _log.error("database.server_not_started", reason=str(error))


@contextmanager
def _spawned(
    command: list[str], *, log: Path, account: ServerAccount | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that is stopped at the end."""
    with _stopped_at_end(_start(command, log=log, account=account)) as child:
        yield child


@contextmanager
def _stopped_at_end(child: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield child
    finally:
        _stop_child(child)


def _start(
    command: list[str], *, log: Path, account: ServerAccount | None
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, deaf to Ctrl-C."""
    with log.open("ab") as output, _signals_held_back():
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=_environment(),
            start_new_session=True,
            preexec_fn=_in_child(),  # noqa: PLW1509
            **(account.popen_options if account else {}),
        )


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """
    Let signals that stop us come after a fork.

    Their handler raises, and in the hooks at a fork (those of `logging` take and release a lock) that
    would be dropped or leave half of them done.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _environment() -> dict[str, str]:
    """Pass on what programs need and no more: no secrets, and no PG variables that change things."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C"}


def _in_child() -> Callable[[], None]:
    """Make what runs in a child: let signals in, and have the kernel stop it when we die."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    parent = os.getpid()

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def _wait_until_ready(server: subprocess.Popen[bytes], data_dir: Path) -> None:
    """Wait for the server's own word; that somebody answers on the socket proves nothing."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        status = _status(data_dir)
        if len(status) >= 8 and status[0] == str(server.pid) and status[7] == "ready":
            return
        if server.poll() is not None:
            break
        time.sleep(_POLL_SECONDS)
    reason = _reason(_log_path(data_dir))
    raise Misconfigured(f"the database in {data_dir} does not start: {reason}")


def _status(data_dir: Path) -> list[str]:
    """
    Read the lines of `postmaster.pid`: 1 the server's process, 8 how far it has come.

    https://github.com/postgres/postgres/blob/master/src/include/utils/pidfile.h
    """
    try:
        text = (data_dir / "postmaster.pid").read_text()
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines()]


def _stop_child(child: subprocess.Popen[bytes]) -> None:
    """Stop fast (SIGINT), else at once (SIGQUIT), else by force."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if child.poll() is None:
            child.send_signal(number)
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue


def _stop_leftover(data_dir: Path, *, report: Callable[[str], None]) -> None:
    """Stop the server that a killed run has left on the folder, which we have claimed."""
    status = _status(data_dir)
    if not status or not status[0].isdecimal():
        return
    pid = int(status[0])
    if _is_server_of(pid, data_dir):
        report("Stopping the database server that an earlier run has left behind")
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if _is_server_of(pid, data_dir):
            os.kill(pid, number)
            _wait_until_gone(pid, data_dir)
    # What it left names a process that is no server of ours, perhaps somebody else's by now.
    (data_dir / "postmaster.pid").unlink(missing_ok=True)


def _wait_until_gone(pid: int, data_dir: Path) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline and _is_server_of(pid, data_dir):
        time.sleep(_POLL_SECONDS)


def _is_server_of(pid: int, data_dir: Path) -> bool:
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


def _reason(log: Path) -> str:
    """
    Find why a program failed: its last error, which need not be its last line.

    After `FATAL: could not write ...: No space left on device` follow lines that only say that it ends.
    """
    lines = log.read_text(errors="replace").strip().splitlines()[-_LAST_LINES:]
    if not lines:
        return f"it wrote nothing to {log}"
    errors = [match for match in map(_ERROR_LINE.search, lines) if match is not None]
    reason = errors[-1][1] if errors else lines[-1]
    return f"{reason.strip()} (see {log})"
