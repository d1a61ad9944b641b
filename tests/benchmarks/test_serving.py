"""
Cached pictures: the service beside nginx and the bare ASGI server with the same bytes, in one run.

The server has one core, wrk the other; the three take turns, so that a busy machine hurts all alike.
"""

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.acceptance.processes import environment, free_port, reachable_dir, running

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed"),
    pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed"),
]

ROUNDS = 5
SECONDS = 2
CONNECTIONS = 32
PATH = "/banners/preview?username=mia-maintains&type=dark"

NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  keepalive_requests 10000000; open_file_cache max=10;
  server {{ listen 127.0.0.1:{port}; root {folder}; default_type image/svg+xml; }}
}}
"""

BARE = """
    import asyncio, sys
    from pathlib import Path
    from github_banners.serving.run import leave, listening, until_stopped

    body = Path(sys.argv[1]).read_bytes()
    headers = [(b"content-type", b"image/svg+xml"), (b"content-length", b"%d" % len(body))]

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def main():
        async with listening(app, host="127.0.0.1", port=int(sys.argv[2])) as server:
            await until_stopped(server)

    asyncio.run(main())
    leave(0)
"""


@dataclass
class Load:
    """What wrk saw."""

    per_second: float
    p99_milliseconds: float
    errors: int


def load(url: str, *, script: Path | None = None) -> Load:
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency"]
    scripted = ["-s", str(script)] if script else []
    said = subprocess.run([*command, *scripted, url], capture_output=True, text=True, check=True)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said.stdout)
    slow = re.search(r"99%\s+([\d.]+)(us|ms|s)", said.stdout)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said.stdout)
    assert rate is not None
    assert slow is not None
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}[slow[2]]
    return Load(float(rate[1]), float(slow[1]) * unit, int(bad[1]) if bad else 0)


@contextmanager
def started(command: list[str], url: str) -> Iterator[str]:
    with subprocess.Popen(command) as process:
        try:
            for _ in range(200):
                try:
                    httpx2.get(url, timeout=1, trust_env=False)
                    break
                except httpx2.HTTPError:
                    process.poll()
                    os.sched_yield()
            yield url
        finally:
            process.send_signal(signal.SIGTERM)


def test_cached_pictures() -> None:
    with ExitStack() as stack:
        folder = stack.enter_context(reachable_dir())
        env = environment(PORT="0", DATA_DIR=str(folder / "data"))
        served = stack.enter_context(running("serve", "--demo", env=env))
        threads = f"/proc/{served.process.pid}/task"
        for thread in os.listdir(threads):  # noqa: PTH208
            os.sched_setaffinity(int(thread), {0})
        body = served.get(PATH, accept_encoding="identity").content
        (folder / "banner.svg").write_bytes(body)
        ports = [free_port() for _ in range(2)]
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=ports[0]))
        nginx = ["taskset", "-c", "0", "nginx", "-c", str(folder / "nginx.conf")]
        url = f"http://127.0.0.1:{ports[0]}/banner.svg"
        stack.enter_context(started(nginx, url))
        bare = ["taskset", "-c", "0", sys.executable, "-c", textwrap.dedent(BARE)]
        bare += [str(folder / "banner.svg"), str(ports[1])]
        bare_url = f"http://127.0.0.1:{ports[1]}/"
        stack.enter_context(started(bare, bare_url))
        busters = folder / "busters.lua"
        busters.write_text(
            "n = 0\nrequest = function()\n  n = n + 1\n"
            f"  return wrk.format('GET', '{PATH}&v=' .. n)\nend\n"
        )
        seen: dict[str, list[Load]] = {name: [] for name in ("nginx", "bare", "ours", "busters")}
        for _ in range(ROUNDS):
            seen["nginx"].append(load(url))
            seen["bare"].append(load(bare_url))
            seen["ours"].append(load(served.url + PATH))
            seen["busters"].append(load(served.url + PATH, script=busters))
    rates = {
        name: statistics.median(one.per_second for one in loads) for name, loads in seen.items()
    }
    p99 = statistics.median(one.p99_milliseconds for one in seen["ours"])
    print(f"\ncached picture of {len(body)} bytes, one core, {CONNECTIONS} connections")
    for name, rate in rates.items():
        print(f"  {name:<8} {rate:>8.0f}/s  {rate / rates['nginx']:.2f} x nginx")
    print(f"  ours / bare ASGI server {rates['ours'] / rates['bare']:.2f}, p99 {p99:.1f} ms")
    assert not any(one.errors for loads in seen.values() for one in loads)
