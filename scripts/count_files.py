"""
Count the project files that one warm request enters: a preview of a new user, and a cached hit.

Runs the all-in-one service in this process, on an embedded PostgreSQL and the fake GitHub. Counted is
what a request on an open connection waits for. Background work, such as saving the numbers of a new user, may or may not run
before the response arrives: its tasks are left out. Of several requests, those files count that most
previews enter, and all cached hits: the first one in a second builds its response.
Usage: `python scripts/count_files.py`.
"""

import asyncio
import http.client
import logging
import socket
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
import uvicorn

import github_banners
from github_banners.app.all_in_one import open_all_in_one
from github_banners.database.embedded import run_embedded_server
from github_banners.database.migrations import migrate
from github_banners.serving.service import serve_service
from github_banners.settings import Settings
from github_sandbox import create_app

_MAX_PREVIEW_FILES, _MAX_CACHED_FILES = 30, 5
# The names of the tasks that a request waits for; unnamed ones are those of the server and of parallel
# requests to GitHub.
_AWAITED_TASKS = ("Task-", "fetch ", "database-job")
# So many that most languages have been drawn before.
_WARM_UP_REQUESTS, _REQUESTS = 20, 5
_PACKAGE = Path(github_banners.__file__).parent


def main() -> None:
    """Print the files of both requests, and exit with 1 if either exceeds its limit."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with (
        tempfile.TemporaryDirectory(prefix="count-files-") as folder,
        _running_sandbox() as api_url,
    ):
        # PostgreSQL refuses to run as root, and its own account has to reach the folder.
        Path(folder).chmod(0o755)
        with run_embedded_server(Path(folder) / "postgres", on_progress=lambda _: None) as conninfo:
            asyncio.run(migrate(conninfo))
            preview, cached = asyncio.run(_measure(api_url, conninfo, Path(folder)))
    _print_files("preview of a new user", preview, _MAX_PREVIEW_FILES)
    _print_files("cached hit", cached, _MAX_CACHED_FILES)
    sys.exit(len(preview) > _MAX_PREVIEW_FILES or len(cached) > _MAX_CACHED_FILES)


async def _measure(api_url: str, conninfo: str, folder: Path) -> tuple[set[str], set[str]]:
    settings = Settings.from_environment(
        {"GITHUB_API_URL": api_url, "GITHUB_TOKENS": "ghp_" + "a" * 36, "RATE_LIMIT_RPS": "100"}
    )
    async with open_all_in_one(
        settings, conninfo=conninfo, banners_dir=folder / "banners"
    ) as service:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            connection = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1])
            async with serve_service(service, listener):
                for number in range(1, _WARM_UP_REQUESTS):
                    await _request_preview(connection, f"dev-{number}")
                numbers = range(_WARM_UP_REQUESTS, _WARM_UP_REQUESTS + _REQUESTS)
                preview = [await _record(connection, f"dev-{number}") for number in numbers]
                cached = [await _record(connection, f"dev-{numbers[0]}") for _ in range(_REQUESTS)]
                connection.close()
    return _in_most(preview), set.intersection(*cached)


async def _record(connection: http.client.HTTPConnection, login: str) -> set[str]:
    """Request a preview from another thread, and return the files that its tasks enter here."""
    files: defaultdict[asyncio.Task[Any] | None, set[str]] = defaultdict(set)
    awaited: set[asyncio.Task[Any] | None] = {None}

    def record(frame: FrameType, event: str, _: Any) -> None:
        task = asyncio.current_task()
        if event == "call":
            files[task].add(frame.f_code.co_filename)
        # Tasks of a request inherit its trace id; the server's own task gets it in the middleware.
        has_trace = bool(structlog.contextvars.get_contextvars())
        if task is not None and has_trace and task.get_name().startswith(_AWAITED_TASKS):
            awaited.add(task)

    sys.setprofile(record)
    try:
        await _request_preview(connection, login)
    finally:
        sys.setprofile(None)
    # Let the background work finish, so that it is not counted with the next request.
    await asyncio.sleep(0.3)
    paths = map(Path, chain.from_iterable(files[task] for task in awaited))
    return {str(path.relative_to(_PACKAGE)) for path in paths if _PACKAGE in path.parents}


def _in_most(recordings: Sequence[set[str]]) -> set[str]:
    counts = Counter(chain.from_iterable(recordings))
    return {name for name, count in counts.items() if 2 * count > len(recordings)}


async def _request_preview(connection: http.client.HTTPConnection, login: str) -> None:
    def fetch() -> None:
        connection.request("GET", f"/banners/preview?username={login}")
        # On a busy machine the fetch from GitHub may take too long: it goes on after the response.
        connection.getresponse().read()

    await asyncio.to_thread(fetch)


@contextmanager
def _running_sandbox() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(create_app(), log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=5)


def _print_files(title: str, files: set[str], limit: int) -> None:
    print(f"{title}: {len(files)} files, limit {limit}")  # noqa: T201
    for name in sorted(files):
        print(f"  {name}")  # noqa: T201


if __name__ == "__main__":
    main()
