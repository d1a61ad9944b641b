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

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc and the kernel")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")

PARENT = """
import signal, sys
from pathlib import Path
import psycopg
from github_banners.database import embedded, embedded_process

def ask_after_all(number, frame):
    with psycopg.connect(conninfo) as conn:
        print(conn.execute("select 'answered'").fetchone()[0], flush=True)
    raise SystemExit

if sys.argv[2] == "no-pdeathsig":
    embedded_process._in_child = lambda: None
signal.signal(signal.SIGINT, ask_after_all)
with embedded.running(Path(sys.argv[1]), report=print) as conninfo:
    print("ready", flush=True)
    signal.pause()
"""


@pytest.fixture(scope="module")
def made_once(reachable_dir: Path) -> Path:
    """A folder with a database that the tests of this module start again and again."""
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
    """A dead process that nobody has collected yet counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # also while it is read
        return False


def wait_until_dead(pid: int) -> None:
    """The test's time limit bounds this."""
    while is_alive(pid):
        os.sched_yield()


def wait_until_another(data_dir: Path, pids: Collection[int]) -> int:
    """Wait for a server that is ready, and is none of those."""
    while True:
        try:
            lines = (data_dir / "postmaster.pid").read_text().split()
        except FileNotFoundError:
            lines = []
        if lines[-1:] == ["ready"] and int(lines[0]) not in pids:
            return int(lines[0])
        os.sched_yield()


def start_parent(data_dir: Path, mode: str = "") -> subprocess.Popen[str]:
    """Run a process of its own that has a server, and wait until it is ready."""
    parent = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PARENT, str(data_dir), mode],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    while (line := parent.stdout.readline()) != "ready\n":
        assert line, "it ended"
    return parent


def refusal(data_dir: Path) -> str:
    """Try to start, and give the sentence that refuses it."""
    with (
        pytest.raises(ConfigurationError) as caught,
        run_embedded_server(data_dir, on_progress=print),
    ):
        pass
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_keeps_what_it_was_given(made_once: Path) -> None:
    said: list[str] = []
    with (
        run_embedded_server(made_once, on_progress=said.append) as conninfo,
        psycopg.connect(conninfo) as conn,
    ):
        conn.execute("create table kept (text text)")
        pid = server_pid(made_once)
    assert said == [f"Making a database in {made_once}"]
    assert not is_alive(pid)
    with (
        run_embedded_server(made_once, on_progress=said.append) as conninfo,
        psycopg.connect(conninfo) as conn,
    ):
        assert conn.execute("select * from kept").fetchall() == []
    assert len(said) == 1


def test_listens_for_nobody_else(made_once: Path) -> None:
    with (
        run_embedded_server(made_once, on_progress=print) as conninfo,
        psycopg.connect(conninfo) as conn,
    ):
        assert conn.execute("show listen_addresses").fetchone() == ("",)
        assert conn.execute("show unix_socket_permissions").fetchone() == ("0700",)


def test_gives_the_server_none_of_our_secrets(
    made_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKENS", "ghp_secret")
    monkeypatch.setenv("PGOPTIONS", "--nonsense")
    with run_embedded_server(made_once, on_progress=print):
        environment = Path(f"/proc/{server_pid(made_once)}/environ").read_text()
    assert "ghp_secret" not in environment
    assert "nonsense" not in environment


def test_what_happens_inside_leaves_as_it_is(made_once: Path) -> None:
    with pytest.raises(OSError, match="port"), run_embedded_server(made_once, on_progress=print):  # noqa: PT012
        pid = server_pid(made_once)
        raise OSError("port in use")
    assert not is_alive(pid)


def test_a_second_start_is_refused(made_once: Path) -> None:
    with run_embedded_server(made_once, on_progress=print) as conninfo:
        sentence = refusal(made_once)
        psycopg.connect(conninfo).close()
    assert sentence == (
        f"another github-banners is using the database in {made_once}:"
        " stop it, or set DATA_DIR to another folder"
    )


@needs_linux
def test_a_killed_parent_leaves_nothing_and_can_start_again(made_once: Path) -> None:
    with start_parent(made_once) as parent:
        pid = server_pid(made_once)
        parent.kill()
        parent.wait()
    with run_embedded_server(made_once, on_progress=print):
        assert server_pid(made_once) != pid
    with start_parent(made_once) as parent:
        pid = server_pid(made_once)
        parent.kill()
        wait_until_dead(pid)


@needs_linux
def test_a_server_that_was_left_behind_is_stopped(made_once: Path) -> None:
    with start_parent(made_once, "no-pdeathsig") as parent:
        pid = server_pid(made_once)
        parent.kill()
        parent.wait()
    assert is_alive(pid)
    said: list[str] = []
    with run_embedded_server(made_once, on_progress=said.append) as conninfo:
        assert not is_alive(pid)
        psycopg.connect(conninfo).close()
    assert "Stopping the database server that an earlier run has left behind" in said


@needs_linux
def test_a_stale_note_about_another_process_harms_nobody(made_once: Path) -> None:
    with run_embedded_server(made_once, on_progress=print):
        note = (made_once / "postmaster.pid").read_text()
    bystander = subprocess.Popen(["sleep", "60"])
    rest = note.split("\n", 1)[1]
    (made_once / "postmaster.pid").write_text(f"{bystander.pid}\n{rest}")
    with run_embedded_server(made_once, on_progress=print):
        assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


@needs_linux
def test_ctrl_c_leaves_the_server_to_us(made_once: Path) -> None:
    with start_parent(made_once) as parent:
        pid = server_pid(made_once)
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.stdout is not None
        assert parent.stdout.read() == "answered\n"
        assert parent.wait() == 0
    assert not is_alive(pid)


@needs_linux
def test_a_server_that_does_not_listen_is_stopped_all_the_same(
    made_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("github_banners.database.embedded_process._STOP_TIMEOUT_SECONDS", 0.1)
    with run_embedded_server(made_once, on_progress=print):
        pid = server_pid(made_once)
        os.kill(pid, signal.SIGSTOP)
    assert not is_alive(pid)
    monkeypatch.undo()
    with run_embedded_server(made_once, on_progress=print) as conninfo:
        psycopg.connect(conninfo).close()


@needs_linux
def test_a_server_that_dies_is_started_again(made_once: Path) -> None:
    with run_embedded_server(made_once, on_progress=print) as conninfo:
        pids = [server_pid(made_once)]
        for _ in range(2):
            os.kill(pids[-1], signal.SIGKILL)
            pids.append(wait_until_another(made_once, pids))
        psycopg.connect(conninfo).close()
    assert not any(is_alive(pid) for pid in pids)


@needs_linux
def test_a_server_that_cannot_start_is_tried_again(
    made_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("github_banners.database.embedded._RESTART_DELAYS_SECONDS", (0.01, 0.02))
    with run_embedded_server(made_once, on_progress=print) as conninfo:
        pid = server_pid(made_once)
        with capture_logs() as logs:
            moved = made_once.with_name("moved-away")
            made_once.rename(moved)
            os.kill(pid, signal.SIGKILL)
            while len(logs) < 3:
                os.sched_yield()
            moved.rename(made_once)
            wait_until_another(made_once, {pid})
        psycopg.connect(conninfo).close()
    assert {one["event"] for one in logs} == {"database.server_died"}


@needs_linux
def test_the_end_does_not_wait_for_a_pause(
    made_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("github_banners.database.embedded._RESTART_DELAYS_SECONDS", (60.0, 60.0))
    with run_embedded_server(made_once, on_progress=print):
        pid = server_pid(made_once)
        os.kill(pid, signal.SIGKILL)
        wait_until_dead(pid)
    assert not is_alive(pid)


def test_half_a_database_is_never_taken_for_a_whole_one(folder: Path) -> None:
    half = folder / ".postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with run_embedded_server(folder / "postgres", on_progress=print) as conninfo:
        psycopg.connect(conninfo).close()
    assert not half.exists()


def test_a_path_too_long_for_a_socket(folder: Path) -> None:
    data_dir = folder / ("long" * 20) / "with, comma" / "postgres"
    with run_embedded_server(data_dir, on_progress=print) as conninfo:
        psycopg.connect(conninfo).close()
        assert str(folder) not in conninfo


def test_an_empty_folder_is_used(folder: Path) -> None:
    (folder / "postgres").mkdir()
    with run_embedded_server(folder / "postgres", on_progress=print) as conninfo:
        psycopg.connect(conninfo).close()


def test_another_version_is_refused(folder: Path) -> None:
    (folder / "PG_VERSION").write_text("15\n")
    assert "was made by PostgreSQL 15 and this is 18" in refusal(folder)


def test_files_that_are_no_database_are_left_alone(folder: Path) -> None:
    (folder / "photo.jpg").write_text("precious")
    assert "holds files that are no database" in refusal(folder)
    assert (folder / "photo.jpg").read_text() == "precious"


def test_a_folder_that_cannot_be_written_is_refused(folder: Path) -> None:
    (folder / "file").write_text("")
    assert "set DATA_DIR to a folder that you can write to" in refusal(folder / "file" / "postgres")


def test_a_broken_database_says_why(folder: Path) -> None:
    (folder / "PG_VERSION").write_text("18\n")
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        os.chown(folder / "PG_VERSION", 65534, 65534)
    folder.chmod(0o700)
    sentence = refusal(folder)
    assert "does not start" in sentence
    assert "postgresql.conf" in sentence


@needs_root
def test_a_folder_that_the_server_cannot_reach_is_refused(folder: Path) -> None:
    folder.chmod(0o700)
    sentence = refusal(folder / "postgres")
    assert f"user 'nobody' can't reach {folder}" in sentence
    assert "set DATA_DIR to a folder such as /var/lib/github-banners" in sentence


@needs_root
def test_programs_that_the_server_cannot_reach_are_copied_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = embedded_binaries.find_package_dir()
    private = folder / "private"
    private.mkdir(mode=0o700)
    for original in (package, package.with_name(f"{package.name}.libs")):
        (private / original.name).symlink_to(original)
    monkeypatch.setattr(embedded_binaries, "find_package_dir", lambda: private / package.name)
    data_dir = folder / "data" / "postgres"
    said: list[str] = []
    for _ in range(2):
        with run_embedded_server(data_dir, on_progress=said.append) as conninfo:
            psycopg.connect(conninfo).close()
            program = Path(f"/proc/{server_pid(data_dir)}/exe").readlink()
            assert program.is_relative_to(data_dir.parent)
    assert sum("Copying" in sentence for sentence in said) == 1


def test_not_installed_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    assert refusal(folder / "postgres") == (
        "PostgreSQL 18 is not installed: pip install 'github-banners[embedded]',"
        " or set DB_HOST to a server of your own"
    )


def test_who_tries_a_file_for_us_sees_nothing_of_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[dict[str, str] | None] = []

    def note(*_: object, **options: Any) -> "subprocess.CompletedProcess[bytes]":
        seen.append(options.get("env"))
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setenv("GITHUB_TOKENS", "ghp_secret")
    monkeypatch.setattr(subprocess, "run", note)
    assert embedded_binaries.ServerAccount("user 1", 1, 1).can_use(tmp_path, "-x")
    assert seen == [{"PATH": os.defpath}]
