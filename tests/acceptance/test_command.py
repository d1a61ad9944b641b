"""The command's beginnings and ends: what it says, which code it leaves, what it leaves behind."""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from tests.acceptance.outages import family
from tests.acceptance.processes import (
    Running,
    environment,
    free_port,
    processes_of,
    reachable_dir,
    run,
    running,
)

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).parents[2]


def until(is_true: Callable[[], bool], *, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_with_code_0(number: int) -> None:
    with reachable_dir() as folder:
        env = environment(PORT="0", DATA_DIR=str(folder))
        with running("serve", "--demo", env=env) as served:
            assert served.get("/banners/preview?username=mia-maintains").status_code == 200
            assert processes_of(folder)
            assert served.stop(number) == 0
        assert processes_of(folder) == []
        assert not [line for line in served.errors if "Traceback" in line]


def test_sigkill_leaves_nothing_running_and_it_starts_again() -> None:
    with reachable_dir() as folder:
        env = environment(PORT="0", DATA_DIR=str(folder))
        with running("serve", "--demo", env=env) as served:
            made = served.get("/banners/preview?username=mia-maintains&format=json").json()
            until(lambda: _is_kept(served))
            served.stop(signal.SIGKILL)
        until(lambda: processes_of(folder) == [])
        with running("serve", "--demo", env=env) as served:
            again = served.get("/banners/preview?username=mia-maintains&format=json").json()
            assert again["fetched_at"] == made["fetched_at"]


def _is_kept(served: Running) -> bool:
    wish = {"username": "mia-maintains"}
    return httpx2.post(served.url + "/banners", json=wish).status_code in {200, 201}


def test_several_workers_share_the_port_and_a_killed_one_is_replaced() -> None:
    with reachable_dir() as folder:
        metrics_port = free_port()
        env = environment(PORT="0", METRICS_PORT=str(metrics_port), DATA_DIR=str(folder))
        with running("serve", "--demo", "--workers", "2", env=env) as served:
            ports = (metrics_port, metrics_port + 1)
            until(lambda: all(map(is_answering, ports)))
            killed, kept = workers_of(served)
            os.kill(killed, signal.SIGKILL)
            until(lambda: len({killed, kept, *workers_of(served)}) == 3)
            until(lambda: all(map(is_answering, ports)))
            for _ in range(20):
                assert served.get("/banners/preview?username=mia-maintains").status_code == 200
            workers = workers_of(served)
            assert served.stop() == 0
        assert len(workers) == 2
        assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
        assert processes_of(folder) == []
        assert not [line for line in served.errors if "Traceback" in line]


def workers_of(served: Running) -> list[int]:
    """The processes that answer for one that watches over them."""
    pids = []
    for pid in family(served.process.pid)[1:]:
        with suppress(OSError):
            if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                pids.append(pid)
    return pids


def is_answering(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/metrics", timeout=15).status_code == 200
    except httpx2.TransportError:
        return False


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("serve", env=environment(PORT=port))
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "PORT" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_second_service_on_the_same_port_or_data_is_refused() -> None:
    with reachable_dir() as folder:
        env = environment(PORT="0", DATA_DIR=str(folder))
        with running("serve", env=env) as served:
            port = served.url.rpartition(":")[2]
            assert run("serve", env=environment(PORT=port)).returncode == 2
            second = run("serve", env=env)
            assert second.returncode == 2
            assert "DATA_DIR" in second.stderr
            assert len(second.stderr.splitlines()) == 1


def test_a_data_directory_that_cannot_be_written() -> None:
    with reachable_dir() as folder:
        (folder / "file").write_text("not a folder")
        ended = run("serve", env=environment(PORT="0", DATA_DIR=str(folder / "file")))
    assert ended.returncode == 2
    assert "DATA_DIR" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_wrong_settings_are_all_named_at_once() -> None:
    env = environment(PORT="http", SOFT_TTL="soon", GITHUB_TOKENS="ghp_one two", LOG_LEVEL="loud")
    ended = run("serve", env=env)
    assert ended.returncode == 2
    for name in ("PORT", "SOFT_TTL", "GITHUB_TOKENS", "LOG_LEVEL"):
        assert re.search(rf"^ +{name} ", ended.stderr, re.MULTILINE)
    assert "ghp_one" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_migrate_needs_a_database_of_its_own() -> None:
    alone, away = run("migrate"), run("migrate", env=environment(DB_HOST="127.0.0.1", PGPORT="1"))
    for ended, word in ((alone, "DB_HOST"), (away, "127.0.0.1:1")):
        assert ended.returncode == 2
        assert word in ended.stderr
        assert "Traceback" not in ended.stderr


def test_no_token_in_any_output_at_any_level() -> None:
    secret = "ghp_0123456789abcdefghijABCDEFGHIJ456789"
    with (
        running("sandbox", "--port", "0", "--token", f"{secret}=") as github,
        reachable_dir() as data,
    ):
        env = environment(
            PORT="0",
            DATA_DIR=str(data),
            GITHUB_TOKENS=secret,
            GITHUB_API_URL=github.url,
            LOG_LEVEL="DEBUG",
        )
        with running("serve", env=env) as served:
            answer = served.get("/banners/preview?username=mia-maintains&format=json")
            served.stop()
    said = "".join([*served.errors, *github.errors, answer.text])
    assert "github.account_refused" in said
    assert secret not in said
    assert "ghp_" not in said


def test_ctrl_c_under_make_ends_with_code_0() -> None:
    """As in a terminal: make is in the foreground, Ctrl-C is typed."""
    with reachable_dir() as folder:
        makefile = folder / "Makefile"
        makefile.write_text(f"demo:\n\t@exec {sys.executable} -m github_banners serve --demo\n")
        env = environment(PORT="0", DATA_DIR=str(folder / "data"))
        pid, terminal = pty.fork()
        if pid == 0:  # pragma: no cover - the child is make
            os.execvpe("make", ["make", "-s", "-C", str(folder), "demo"], env)  # noqa: S606
        said = _read_until(terminal, b"Ctrl-C stops everything")
        os.write(terminal, b"\x03")
        said += _read_until(terminal, None)
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        assert os.waitstatus_to_exitcode(status) == 0, said.decode()
        assert b"Interrupt" not in said
        assert processes_of(folder) == []


def _read_until(terminal: int, words: bytes | None) -> bytes:
    said = b""
    while words is None or words not in said:
        ready, _, _ = select.select([terminal], [], [], 20)
        assert ready, said.decode()
        try:
            chunk = os.read(terminal, 4096)
        except OSError:
            return said
        said += chunk
        if not chunk:
            return said
    return said


def test_help_is_written_for_a_person() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "github_banners", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(COLUMNS="90"),
    )
    for command in ("serve", "migrate", "sandbox"):
        assert command in ended.stdout


@pytest.mark.parametrize("words", ["Creating a database", "event="])
def test_a_signal_before_it_is_ready_ends_it_with_code_0(words: str) -> None:
    with reachable_dir() as folder:
        env = environment(PORT="0", DATA_DIR=str(folder), LOG_LEVEL="debug")
        process = subprocess.Popen(
            [sys.executable, "-m", "github_banners", "serve", "--demo"],
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stderr is not None
            said = ""
            while words not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            process.send_signal(signal.SIGTERM)
            said += process.communicate(timeout=20)[1]
        assert process.returncode == 0, said
        assert "Traceback" not in said
        until(lambda: processes_of(folder) == [])
