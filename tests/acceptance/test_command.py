"""Start and end of the command: its output, its exit code, and the processes that remain."""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.acceptance.breakable_backends import find_workers
from tests.acceptance.processes import (
    Running,
    environment,
    find_processes,
    free_port,
    prepared_data_dir,
    reachable_dir,
    run,
    running,
)

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).parents[2]


def until(is_true: Callable[[], bool], *, seconds: float = 30) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"still not true after {seconds} s"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_all_processes_with_code_0(number: int) -> None:
    with reachable_dir() as folder:
        env = environment(PORT="0", DATA_DIR=str(folder))
        with running("serve", "--demo", env=env) as service:
            assert service.get("/banners/preview?username=mia-maintains").status_code == 200
            assert find_processes(folder)
            assert service.stop(number) == 0
        assert find_processes(folder) == []
        assert not [line for line in service.errors if "Traceback" in line]


def test_sigkill_leaves_no_process_and_restart_works() -> None:
    with prepared_data_dir(demo=True) as folder:
        env = environment(PORT="0", DATA_DIR=str(folder))
        with running("serve", "--demo", env=env) as service:
            first = service.get("/banners/preview?username=mia-maintains&format=json").json()
            until(lambda: _is_saved(service))
            service.stop(signal.SIGKILL)
        until(lambda: find_processes(folder) == [])
        with running("serve", "--demo", env=env) as service:
            second = service.get("/banners/preview?username=mia-maintains&format=json").json()
            assert second["fetched_at"] == first["fetched_at"]


def _is_saved(service: Running) -> bool:
    body = {"username": "mia-maintains"}
    return httpx2.post(service.url + "/banners", json=body).status_code in {200, 201}


def test_workers_share_port_and_killed_worker_is_replaced() -> None:
    with prepared_data_dir(demo=True) as folder:
        metrics_port = free_port()
        # A pipe can be read only once: the workers get its text from their parent.
        tokens = folder / "tokens"
        os.mkfifo(tokens)
        threading.Thread(target=tokens.write_text, args=("ghp_fake\n",), daemon=True).start()
        env = environment(
            PORT="0",
            METRICS_PORT=str(metrics_port),
            DATA_DIR=str(folder),
            GITHUB_TOKENS_FILE=str(tokens),
        )
        with running("serve", "--demo", "--workers", "2", env=env) as service:
            ports = (metrics_port, metrics_port + 1)
            until(lambda: all(map(is_answering, ports)))
            killed, other = find_workers(service)
            os.kill(killed, signal.SIGKILL)
            until(lambda: len({killed, other, *find_workers(service)}) == 3)
            until(lambda: all(map(is_answering, ports)))
            for _ in range(20):
                assert service.get("/banners/preview?username=mia-maintains").status_code == 200
            workers = find_workers(service)
            assert service.stop() == 0
        assert len(workers) == 2
        assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
        assert find_processes(folder) == []
        assert not [line for line in service.errors if "Traceback" in line]


def is_answering(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/metrics", timeout=30).status_code == 200
    except httpx2.TransportError:
        return False


def test_serve_on_used_port_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run("serve", env=environment(PORT=port))
    assert result.returncode == 2
    assert f"127.0.0.1:{port}" in result.stderr
    assert "PORT" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_second_service_on_same_port_or_data_dir_fails() -> None:
    with prepared_data_dir() as folder:
        env = environment(PORT="0", DATA_DIR=str(folder))
        with running("serve", env=env) as service:
            port = service.url.rpartition(":")[2]
            assert run("serve", env=environment(PORT=port)).returncode == 2
            second = run("serve", env=env)
            assert second.returncode == 2
            assert "DATA_DIR" in second.stderr
            assert len(second.stderr.splitlines()) == 1


def test_unwritable_data_dir_fails() -> None:
    with reachable_dir() as folder:
        (folder / "file").write_text("not a folder")
        result = run("serve", env=environment(PORT="0", DATA_DIR=str(folder / "file")))
    assert result.returncode == 2
    assert "DATA_DIR" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_invalid_settings_are_all_reported() -> None:
    env = environment(PORT="http", SOFT_TTL="soon", GITHUB_TOKENS="ghp_one two", LOG_LEVEL="loud")
    result = run("serve", env=env)
    assert result.returncode == 2
    for name in ("PORT", "SOFT_TTL", "GITHUB_TOKENS", "LOG_LEVEL"):
        assert re.search(rf"^ +{name} ", result.stderr, re.MULTILINE)
    assert "ghp_one" not in result.stderr
    assert "Traceback" not in result.stderr


def test_migrate_without_database_settings_fails() -> None:
    alone, away = run("migrate"), run("migrate", env=environment(DB_HOST="127.0.0.1", PGPORT="1"))
    for result, word in ((alone, "DB_HOST"), (away, "127.0.0.1:1")):
        assert result.returncode == 2
        assert word in result.stderr
        assert "Traceback" not in result.stderr


def test_output_at_any_log_level_contains_no_token() -> None:
    secret = "ghp_0123456789abcdefghijABCDEFGHIJ456789"
    with (
        running("sandbox", "--port", "0", "--token", f"{secret}=") as github,
        prepared_data_dir() as data,
    ):
        env = environment(
            PORT="0",
            DATA_DIR=str(data),
            GITHUB_TOKENS=secret,
            GITHUB_API_URL=github.url,
            LOG_LEVEL="DEBUG",
        )
        with running("serve", env=env) as service:
            response = service.get("/banners/preview?username=mia-maintains&format=json")
            service.stop()
    output = "".join([*service.errors, *github.errors, response.text])
    assert "github.account_refused" in output
    assert secret not in output
    assert "ghp_" not in output


def test_ctrl_c_under_make_ends_with_code_0() -> None:
    """Run make in the foreground of a terminal, and type Ctrl-C."""
    with prepared_data_dir(demo=True) as folder:
        makefile = folder / "Makefile"
        makefile.write_text(f"demo:\n\t@exec {sys.executable} -m github_banners serve --demo\n")
        env = environment(PORT="0", DATA_DIR=str(folder))
        pid, terminal = pty.fork()
        if pid == 0:  # pragma: no cover - the child is make
            os.execvpe("make", ["make", "-s", "-C", str(folder), "demo"], env)  # noqa: S606
        output = _read_until(terminal, b"Press Ctrl-C to stop")
        os.write(terminal, b"\x03")
        output += _read_until(terminal, None)
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        assert os.waitstatus_to_exitcode(status) == 0, output.decode()
        assert b"Interrupt" not in output
        assert find_processes(folder) == []


def _read_until(terminal: int, words: bytes | None) -> bytes:
    output = b""
    while words is None or words not in output:
        ready, _, _ = select.select([terminal], [], [], 20)
        assert ready, output.decode()
        try:
            chunk = os.read(terminal, 4096)
        except OSError:
            return output
        output += chunk
        if not chunk:
            return output
    return output


def test_help_lists_commands_with_descriptions() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "github_banners", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(COLUMNS="90"),
    )
    for command in ("serve", "migrate", "sandbox"):
        assert command in result.stdout


@pytest.mark.parametrize("words", ["Creating a database", "event="])
def test_signal_before_ready_ends_with_code_0(words: str) -> None:
    is_created = words == "event="
    with prepared_data_dir(demo=True) if is_created else reachable_dir() as folder:
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
            output = ""
            while words not in output:
                line = process.stderr.readline()
                assert line, output
                output += line
            process.send_signal(signal.SIGTERM)
            output += process.communicate(timeout=30)[1]
        assert process.returncode == 0, output
        assert "Traceback" not in output
        until(lambda: find_processes(folder) == [])


def test_storage_host_and_port_override_the_environment() -> None:
    with reachable_dir() as folder:
        env = environment(HOST="192.0.2.1", PORT="1", DATA_DIR=str(folder))
        with running("storage", "--host", "127.0.0.1", "--port=0", env=env) as service:
            assert service.get("/healthz").json() == {"status": "alive"}


@pytest.mark.parametrize("command", ["serve", "api", "renderer", "storage"])
def test_invalid_host_and_port_are_reported_as_they_were_given(command: str) -> None:
    ended = run(command, "--host", "a b", "--port", "65536", env=environment(PORT="8080"))
    assert ended.returncode == 2
    assert "--host must be an address to listen on" in ended.stderr
    assert "--port must be a number from 0 to 65535, not '65536'" in ended.stderr
