"""The embedded server as a child process."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from importlib import util
from pathlib import Path
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from github_banners.database import embedded_binaries
from github_banners.database.embedded import run_embedded_server
from github_banners.errors import ConfigurationError

pytestmark = pytest.mark.postgres

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and prctl")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")

PARENT = """
import signal, sys
from pathlib import Path
import psycopg
from github_banners.database import embedded, embedded_process

def query_on_signal(number, frame):
    with psycopg.connect(conninfo) as conn:
        print(conn.execute("select 'answered'").fetchone()[0], flush=True)
    raise SystemExit

if sys.argv[2] == "no-pdeathsig":
    embedded_process._make_preexec = lambda: None
signal.signal(signal.SIGINT, query_on_signal)
with embedded.run_embedded_server(Path(sys.argv[1]), on_progress=print) as conninfo:
    print("ready", flush=True)
    signal.pause()
"""


@pytest.fixture(scope="module")
def shared_data_dir(reachable_dir: Path) -> Path:
    """A data folder that the tests of this module share."""
    return reachable_dir / "embedded-tests" / "postgres"


@pytest.fixture
def folder(reachable_dir: Path) -> Iterator[Path]:
    """A fresh folder."""
    with tempfile.TemporaryDirectory(dir=reachable_dir) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def server_pid(data_dir: Path) -> int:
    return int((data_dir / "postmaster.pid").read_text().split()[0])


def is_alive(pid: int) -> bool:
    """Return False for a zombie too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # also while it is read
        return False


def wait_until_dead(pid: int) -> None:
    """The test's time limit bounds this."""
    while is_alive(pid):
        os.sched_yield()


def wait_for_new_server(data_dir: Path, pids: Collection[int]) -> int:
    """Wait until a server is ready that has none of these process ids."""
    while True:
        try:
            lines = (data_dir / "postmaster.pid").read_text().split()
        except FileNotFoundError:
            lines = []
        if lines[-1:] == ["ready"] and int(lines[0]) not in pids:
            return int(lines[0])
        os.sched_yield()


def start_parent(data_dir: Path, mode: str = "") -> subprocess.Popen[str]:
    """Start a separate process with an embedded server, and wait until it is ready."""
    parent = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PARENT, str(data_dir), mode],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    while (line := parent.stdout.readline()) != "ready\n":
        assert line, "the process ended"
    return parent


def start_error(data_dir: Path) -> str:
    """Try to start a server, and return the error message."""
    with (
        pytest.raises(ConfigurationError) as error_info,
        run_embedded_server(data_dir, on_progress=print),
    ):
        pass
    message = str(error_info.value)
    assert "\n" not in message
    return message


def test_embedded_server_keeps_data(shared_data_dir: Path) -> None:
    messages: list[str] = []
    with (
        run_embedded_server(shared_data_dir, on_progress=messages.append) as conninfo,
        psycopg.connect(conninfo) as conn,
    ):
        conn.execute("create table notes (text text)")
        pid = server_pid(shared_data_dir)
    assert messages == [f"Creating a database in {shared_data_dir}"]
    assert not is_alive(pid)
    with (
        run_embedded_server(shared_data_dir, on_progress=messages.append) as conninfo,
        psycopg.connect(conninfo) as conn,
    ):
        assert conn.execute("select * from notes").fetchall() == []
    assert len(messages) == 1


def test_embedded_server_listens_on_private_socket(shared_data_dir: Path) -> None:
    with (
        run_embedded_server(shared_data_dir, on_progress=print) as conninfo,
        psycopg.connect(conninfo) as conn,
    ):
        assert conn.execute("show listen_addresses").fetchone() == ("",)
        assert conn.execute("show unix_socket_permissions").fetchone() == ("0700",)


def test_embedded_server_gets_no_secrets(
    shared_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKENS", "ghp_secret")
    monkeypatch.setenv("PGOPTIONS", "--nonsense")
    with run_embedded_server(shared_data_dir, on_progress=print):
        environment = Path(f"/proc/{server_pid(shared_data_dir)}/environ").read_text()
    assert "ghp_secret" not in environment
    assert "nonsense" not in environment


def test_embedded_server_passes_exceptions_on(shared_data_dir: Path) -> None:
    with (  # noqa: PT012
        pytest.raises(OSError, match="port"),
        run_embedded_server(shared_data_dir, on_progress=print),
    ):
        pid = server_pid(shared_data_dir)
        raise OSError("port in use")
    assert not is_alive(pid)


def test_embedded_server_second_start_is_rejected(shared_data_dir: Path) -> None:
    with run_embedded_server(shared_data_dir, on_progress=print) as conninfo:
        message = start_error(shared_data_dir)
        psycopg.connect(conninfo).close()
    assert message == (
        f"another github-banners is using the database in {shared_data_dir}:"
        " stop it, or set DATA_DIR to another folder"
    )


@needs_linux
def test_embedded_server_dies_with_killed_parent(shared_data_dir: Path) -> None:
    with start_parent(shared_data_dir) as parent:
        pid = server_pid(shared_data_dir)
        parent.kill()
        parent.wait()
    with run_embedded_server(shared_data_dir, on_progress=print):
        assert server_pid(shared_data_dir) != pid
    with start_parent(shared_data_dir) as parent:
        pid = server_pid(shared_data_dir)
        parent.kill()
        wait_until_dead(pid)


@needs_linux
def test_embedded_server_left_behind_is_stopped(shared_data_dir: Path) -> None:
    with start_parent(shared_data_dir, "no-pdeathsig") as parent:
        pid = server_pid(shared_data_dir)
        parent.kill()
        parent.wait()
    assert is_alive(pid)
    messages: list[str] = []
    with run_embedded_server(shared_data_dir, on_progress=messages.append) as conninfo:
        assert not is_alive(pid)
        psycopg.connect(conninfo).close()
    assert "Stopping the database server that an earlier run has left behind" in messages


@needs_linux
def test_embedded_server_stale_pid_file_kills_no_other_process(shared_data_dir: Path) -> None:
    with run_embedded_server(shared_data_dir, on_progress=print):
        content = (shared_data_dir / "postmaster.pid").read_text()
    other_process = subprocess.Popen(["sleep", "60"])
    rest = content.split("\n", 1)[1]
    (shared_data_dir / "postmaster.pid").write_text(f"{other_process.pid}\n{rest}")
    with run_embedded_server(shared_data_dir, on_progress=print):
        assert other_process.poll() is None
    other_process.kill()
    other_process.wait()


@needs_linux
def test_embedded_server_ignores_ctrl_c(shared_data_dir: Path) -> None:
    with start_parent(shared_data_dir) as parent:
        pid = server_pid(shared_data_dir)
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.stdout is not None
        assert parent.stdout.read() == "answered\n"
        assert parent.wait() == 0
    assert not is_alive(pid)


@needs_linux
def test_embedded_server_frozen_is_stopped(
    shared_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("github_banners.database.embedded_process._STOP_TIMEOUT_SECONDS", 0.1)
    with run_embedded_server(shared_data_dir, on_progress=print):
        pid = server_pid(shared_data_dir)
        os.kill(pid, signal.SIGSTOP)
    assert not is_alive(pid)
    monkeypatch.undo()
    with run_embedded_server(shared_data_dir, on_progress=print) as conninfo:
        psycopg.connect(conninfo).close()


@needs_linux
def test_embedded_server_that_dies_is_restarted(shared_data_dir: Path) -> None:
    with run_embedded_server(shared_data_dir, on_progress=print) as conninfo:
        pids = [server_pid(shared_data_dir)]
        for _ in range(2):
            os.kill(pids[-1], signal.SIGKILL)
            pids.append(wait_for_new_server(shared_data_dir, pids))
        psycopg.connect(conninfo).close()
    assert not any(is_alive(pid) for pid in pids)


@needs_linux
def test_embedded_server_failed_restart_is_retried(
    shared_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("github_banners.database.embedded._RESTART_DELAYS_SECONDS", (0.01, 0.02))
    with run_embedded_server(shared_data_dir, on_progress=print) as conninfo:
        pid = server_pid(shared_data_dir)
        with capture_logs() as logs:
            moved = shared_data_dir.with_name("moved-away")
            shared_data_dir.rename(moved)
            os.kill(pid, signal.SIGKILL)
            while len(logs) < 3:
                os.sched_yield()
            moved.rename(shared_data_dir)
            wait_for_new_server(shared_data_dir, {pid})
        psycopg.connect(conninfo).close()
    assert {entry["event"] for entry in logs} == {"database.server_died"}


@needs_linux
def test_embedded_server_stop_does_not_wait_for_restart_delay(
    shared_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("github_banners.database.embedded._RESTART_DELAYS_SECONDS", (60.0, 60.0))
    with run_embedded_server(shared_data_dir, on_progress=print):
        pid = server_pid(shared_data_dir)
        os.kill(pid, signal.SIGKILL)
        wait_until_dead(pid)
    assert not is_alive(pid)


def test_embedded_server_partial_database_is_replaced(folder: Path) -> None:
    partial = folder / ".postgres.new"
    partial.mkdir()
    (partial / "PG_VERSION").write_text("18\n")
    with run_embedded_server(folder / "postgres", on_progress=print) as conninfo:
        psycopg.connect(conninfo).close()
    assert not partial.exists()


def test_embedded_server_path_too_long_for_socket(folder: Path) -> None:
    data_dir = folder / ("long" * 20) / "with, comma" / "postgres"
    with run_embedded_server(data_dir, on_progress=print) as conninfo:
        psycopg.connect(conninfo).close()
        assert str(folder) not in conninfo


def test_embedded_server_empty_folder_is_used(folder: Path) -> None:
    (folder / "postgres").mkdir()
    with run_embedded_server(folder / "postgres", on_progress=print) as conninfo:
        psycopg.connect(conninfo).close()


def test_embedded_server_other_version_is_rejected(folder: Path) -> None:
    (folder / "PG_VERSION").write_text("15\n")
    assert "was created by PostgreSQL 15, not 18" in start_error(folder)


def test_embedded_server_other_files_are_kept(folder: Path) -> None:
    (folder / "photo.jpg").write_text("precious")
    assert "contains files that are not a database" in start_error(folder)
    assert (folder / "photo.jpg").read_text() == "precious"


def test_embedded_server_unwritable_folder_is_rejected(folder: Path) -> None:
    (folder / "file").write_text("")
    assert "set DATA_DIR to a folder that you can write to" in start_error(
        folder / "file" / "postgres"
    )


def test_embedded_server_broken_database_gives_reason(folder: Path) -> None:
    (folder / "PG_VERSION").write_text("18\n")
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        os.chown(folder / "PG_VERSION", 65534, 65534)
    folder.chmod(0o700)
    message = start_error(folder)
    assert "does not start" in message
    assert "postgresql.conf" in message


@needs_root
def test_embedded_server_inaccessible_folder_is_rejected(folder: Path) -> None:
    folder.chmod(0o700)
    message = start_error(folder / "postgres")
    assert f"user 'nobody' can't access {folder}" in message
    assert "set DATA_DIR to a folder such as /var/lib/github-banners" in message


@needs_root
def test_embedded_server_inaccessible_programs_are_copied_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = embedded_binaries.find_package_dir()
    private = folder / "private"
    private.mkdir(mode=0o700)
    for original in (package, package.with_name(f"{package.name}.libs")):
        (private / original.name).symlink_to(original)
    monkeypatch.setattr(embedded_binaries, "find_package_dir", lambda: private / package.name)
    data_dir = folder / "data" / "postgres"
    messages: list[str] = []
    for _ in range(2):
        with run_embedded_server(data_dir, on_progress=messages.append) as conninfo:
            psycopg.connect(conninfo).close()
            program = Path(f"/proc/{server_pid(data_dir)}/exe").readlink()
            assert program.is_relative_to(data_dir.parent)
    assert sum("Copying" in message for message in messages) == 1


def test_embedded_server_not_installed_gives_advice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    assert start_error(folder / "postgres") == (
        "PostgreSQL 18 is not installed: install the extra `embedded`,"
        " in a checkout by pip install '.[embedded]', or set DB_HOST to a server of your own"
    )


def test_server_account_check_gets_no_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environments: list[dict[str, str] | None] = []

    def record_environment(*_: object, **options: Any) -> "subprocess.CompletedProcess[bytes]":
        environments.append(options.get("env"))
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setenv("GITHUB_TOKENS", "ghp_secret")
    monkeypatch.setattr(subprocess, "run", record_environment)
    assert embedded_binaries.ServerAccount("user 1", 1, 1).can_use(tmp_path, "-x")
    assert environments == [{"PATH": os.defpath}]
