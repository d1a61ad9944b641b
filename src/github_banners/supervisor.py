"""
Run `serve`: the service in this process, or in several worker processes that it supervises.

The workers share one listening socket, which they inherit from the parent.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from github_banners.serving.server import (
    open_listener,
    port_number,
    reject_new_connections,
    serve_app,
    wait_for_shutdown,
    wait_until_answering,
)
from github_banners.serving.service import Service, background_task, serve_service
from github_banners.serving.telemetry import open_tracing
from github_banners.serving.workers import supervise, wait_for_parent_exit
from github_banners.settings import ServiceName, Settings, Url
from github_banners.settings.parsers import Token

# The fake GitHub accepts any token, and gives contributions only to those who have one.
_FAKE_TOKEN = Token("fake")


class WorkerConfig(msgspec.Struct, frozen=True):
    """Configuration that a worker process receives from its parent, as JSON."""

    conninfo: str
    banners_dir: str
    listener: int | None = None
    """Descriptor of the shared listening socket."""
    metrics_listener: int | None = None
    """Descriptor of the worker's own socket for metrics."""
    github_api_url: str | None = None
    secret_files: dict[str, str] = {}
    """Texts of secrets by path: some files, such as the pipe of a shell's `<(...)`, can be read only once."""


@asynccontextmanager
async def serve_all_in_one(
    settings: Settings,
    config: WorkerConfig,
    listener: socket.socket,
    *,
    metrics_listeners: Sequence[socket.socket] = (),
    workers: int,
    github_app: Any = None,
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """
    Serve while the context lasts; yield the server tasks once requests are answered.

    The tasks do not end by themselves. `metrics_listeners` are sockets for metrics, one per process, or
    empty. `github_app` is an ASGI application to serve and use instead of GitHub.
    """
    async with AsyncExitStack() as stack:
        tasks = []
        if github_app is not None:
            github_listener = open_listener("127.0.0.1", 0)
            url = f"http://127.0.0.1:{port_number(github_listener)}"
            tasks.append(await stack.enter_async_context(serve_app(github_app, github_listener)))
            config = msgspec.structs.replace(config, github_api_url=url)
        if workers == 1:
            metrics_listener = metrics_listeners[0] if metrics_listeners else None
            opened = _serve_in_process(
                settings, config, listener, metrics_listener=metrics_listener
            )
            tasks += await stack.enter_async_context(opened)
        else:
            worker_configs = [
                msgspec.json.encode(_worker_config(config, listener, metrics_listeners, index))
                for index in range(workers)
            ]
            inherited = [sock.fileno() for sock in (listener, *metrics_listeners)]
            supervising = supervise(["worker"], first_lines=worker_configs, pass_fds=inherited)
            tasks.append(
                await stack.enter_async_context(background_task(supervising, name="workers"))
            )
            # On exit this runs first: no new connections, while the workers empty the backlog.
            stack.callback(listener.close)
            stack.callback(reject_new_connections, listener)
            await wait_until_answering(listener, *tasks)
        yield tasks


def _worker_config(
    config: WorkerConfig,
    listener: socket.socket,
    metrics_listeners: Sequence[socket.socket],
    index: int,
) -> WorkerConfig:
    """Return the configuration of one worker, with its own metrics socket, since metrics differ."""
    metrics_listener = metrics_listeners[index].fileno() if metrics_listeners else None
    return msgspec.structs.replace(
        config, listener=listener.fileno(), metrics_listener=metrics_listener
    )


async def run_worker(settings: Settings, config: WorkerConfig) -> None:
    """Run as a worker process until a signal arrives or the parent exits."""
    listener = _socket_from_descriptor(config.listener)
    metrics_listener = (
        None
        if config.metrics_listener is None
        else _socket_from_descriptor(config.metrics_listener)
    )
    async with (
        background_task(wait_for_parent_exit(), name="parent") as parent,
        _serve_in_process(
            settings, config, listener, is_shared=True, metrics_listener=metrics_listener
        ) as tasks,
    ):
        await wait_for_shutdown(*tasks, stop_task=parent)


def _socket_from_descriptor(descriptor: int | None) -> socket.socket:
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    return listener


async def run_single_service(
    service_context: AbstractAsyncContextManager[Service],
    listener: socket.socket,
    *,
    metrics_listener: socket.socket | None,
    on_ready: Callable[[], None],
) -> None:
    """Run a single service until a signal arrives; `on_ready` is called once it listens."""
    async with (
        service_context as service,
        serve_service(service, listener, metrics_listener=metrics_listener) as tasks,
    ):
        on_ready()
        await wait_for_shutdown(*tasks)


@asynccontextmanager
async def _serve_in_process(
    settings: Settings,
    config: WorkerConfig,
    listener: socket.socket,
    *,
    is_shared: bool = False,
    metrics_listener: socket.socket | None = None,
) -> AsyncIterator[list[asyncio.Task[None]]]:
    # Imported here because the parent of worker processes does not need it.
    from github_banners.app.all_in_one import open_all_in_one  # noqa: PLC0415

    if config.github_api_url is not None:
        settings = msgspec.structs.replace(
            settings,
            github_api_url=Url(config.github_api_url),
            github_tokens=settings.github_tokens or (_FAKE_TOKEN,),
        )
    with open_tracing(settings, service=ServiceName.ALL_IN_ONE) as tracing:
        opened = open_all_in_one(
            settings,
            conninfo=config.conninfo,
            banners_dir=Path(config.banners_dir),
            tracing=tracing,
        )
        async with (
            opened as service,
            serve_service(
                service, listener, is_shared=is_shared, metrics_listener=metrics_listener
            ) as tasks,
        ):
            yield tasks
