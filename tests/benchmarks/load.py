"""
Load a server on one core with wrk on another; nginx with the same bytes is the reference.

BENCH_REALTIME=1 gives servers and wrk real-time priority on a machine that runs other things;
it needs root. The kernel then stops them for 50 ms of each second, so latencies mean nothing.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from tests.acceptance.breakable_backends import process_tree
from tests.acceptance.processes import free_port
from tests.benchmarks.sizes import sized

CONNECTIONS = 32
ROUNDS = sized(short=1, medium=3, full=7)
ROUND_SECONDS = sized(short=2, medium=10, full=20) / 10
IS_REALTIME = os.environ.get("BENCH_REALTIME") == "1"
REALTIME_NOTE = "Servers and wrk had real-time priority, except where latencies were measured."
_PRIORITY = 10
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}

_NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  keepalive_requests 10000000; {directives}
  server {{ listen 127.0.0.1:{port}; root {folder}; default_type image/svg+xml; }}
}}
"""


class Load(NamedTuple):
    """The measurements of wrk in one round."""

    per_second: float
    p99_milliseconds: float
    requests: int


def require(*programs: str) -> None:
    """Skip a test for which this machine lacks programs or a second core."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    if IS_REALTIME and os.geteuid() != 0:
        pytest.fail("BENCH_REALTIME needs root")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores: one for the server, one for its clients")


def server_core() -> int:
    """Return the core that servers have to themselves."""
    return min(os.sched_getaffinity(0))


def client_core() -> int:
    """Return the core of the clients."""
    return sorted(os.sched_getaffinity(0))[1]


def for_each_thread(pid: int, act: Callable[[int], None]) -> None:
    """Do something to every thread of a process and its children."""
    for process in process_tree(pid):
        for thread in Path(f"/proc/{process}/task").iterdir():
            act(int(thread.name))


def pin(pid: int) -> None:
    """Give a process and its children the server's core."""
    for_each_thread(pid, lambda thread: os.sched_setaffinity(thread, {server_core()}))


def prioritize(pid: int) -> None:
    """Give a process and its children real-time priority, if BENCH_REALTIME is set."""
    if IS_REALTIME:
        parameter = os.sched_param(_PRIORITY)
        for_each_thread(pid, lambda thread: os.sched_setscheduler(thread, os.SCHED_FIFO, parameter))


def wrk(
    url: str, *, script: Path | None = None, seconds: float = ROUND_SECONDS, is_urgent: bool = False
) -> Load:
    """Load a server for some seconds, all responses of which must be good; `is_urgent`: priority."""
    command = ["stdbuf", "--output=L", "taskset", "--cpu-list", f"{client_core()}"]
    if is_urgent and IS_REALTIME:
        command += ["chrt", "--fifo", f"{_PRIORITY}"]
    command += ["wrk", "-t1", f"-c{CONNECTIONS}", "-d1h", "--latency"]
    command += ["-s", str(script)] if script is not None else []
    # wrk itself counts whole seconds only. Interrupted after its first line it reports what it has
    # measured until then.
    with subprocess.Popen([*command, url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
    assert process.returncode == 0, output
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    slow = re.search(r"99%\s+([\d.]+)(us|ms|s)", output)
    total = re.search(r"(\d+) requests in", output)
    assert rate is not None, output
    assert total is not None, output
    assert slow is not None, output
    assert "Non-2xx" not in output, output
    assert "Socket errors" not in output, output
    return Load(float(rate[1]), float(slow[1]) * _MILLISECONDS[slow[2]], int(total[1]))


def write_headers_script(path: Path, headers: Mapping[str, str]) -> Path:
    """Write a script that lets wrk send more headers."""
    lines = [f'wrk.headers["{name}"] = "{value}"\n' for name, value in headers.items()]
    path.write_text("".join(lines))
    return path


def write_targets_script(path: Path, target: str) -> Path:
    """Write a script that lets wrk request another target each time: `{n}` in it is a new number."""
    before, _, after = target.partition("{n}")
    path.write_text(
        "local run, n = os.time(), 0\n"
        "request = function()\n"
        "  n = n + 1\n"
        f"  return wrk.format('GET', '{before}' .. run .. '-' .. n .. '{after}')\n"
        "end\n"
    )
    return path


@contextmanager
def nginx(folder: Path, *, directives: str = "") -> Iterator[tuple[str, int]]:
    """Serve the files of a folder with one worker process; returns its address and its pid."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port, directives=directives))
    command = ["taskset", "--cpu-list", f"{server_core()}", "nginx", "-c", str(config)]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_answering(url, process)
            yield url, process.pid
        finally:
            process.send_signal(signal.SIGTERM)


def _wait_until_answering(url: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            httpx2.get(url, timeout=1, trust_env=False)
        except httpx2.HTTPError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nginx ended with {process.returncode}")
