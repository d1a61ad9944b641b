"""What `serve` starts: the service in this process, or in several that this one watches over."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from github_banners.serving.server import (
    listening,
    open_listener,
    port_number,
    turn_away,
    wait_for_shutdown,
    wait_until_answering,
)
from github_banners.serving.service import Service, owning, serving
from github_banners.serving.workers import supervise, until_input_ends
from github_banners.settings import Settings, Url


class Plan(msgspec.Struct, frozen=True):
    """What the parent of several processes has decided for them."""

    conninfo: str
    banners_dir: str
    listener: int | None = None
    """The descriptor of the socket that several processes share."""
    metrics_listener: int | None = None
    """The descriptor of the socket for one process's metrics."""
    github_api_url: str | None = None


@asynccontextmanager
async def launched(
    settings: Settings,
    plan: Plan,
    listener: socket.socket,
    *,
    metrics: Sequence[socket.socket] = (),
    workers: int,
    github: Any = None,
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """
    Serve while the context lasts, from when requests are answered; none of the tasks ends.

    `metrics` are sockets for metrics alone, one for each process, or none. `github` is an application
    to be requested in GitHub's place, which is served as well.
    """
    async with AsyncExitStack() as stack:
        owned = []
        if github is not None:
            github_listener = open_listener("127.0.0.1", 0)
            url = f"http://127.0.0.1:{port_number(github_listener)}"
            owned.append(await stack.enter_async_context(listening(github, github_listener)))
            plan = msgspec.structs.replace(plan, github_api_url=url)
        if workers == 1:
            metrics_listener = metrics[0] if metrics else None
            opened = _serving(settings, plan, listener, metrics=metrics_listener)
            owned += await stack.enter_async_context(opened)
        else:
            plans = [
                msgspec.json.encode(_plan_of_worker(plan, listener, metrics, index))
                for index in range(workers)
            ]
            inherited = [shared.fileno() for shared in (listener, *metrics)]
            supervising = supervise(["worker"], first_lines=plans, pass_fds=inherited)
            owned.append(await stack.enter_async_context(owning(supervising, name="workers")))
            # First of all at the end: what the backlog holds then, the workers empty.
            stack.callback(listener.close)
            stack.callback(turn_away, listener)
            await wait_until_answering(listener, *owned)
        yield owned


def _plan_of_worker(
    plan: Plan, listener: socket.socket, metrics: Sequence[socket.socket], index: int
) -> Plan:
    """Give each its own socket for metrics: their numbers are each one's own."""
    metrics_listener = metrics[index].fileno() if metrics else None
    return msgspec.structs.replace(
        plan, listener=listener.fileno(), metrics_listener=metrics_listener
    )


async def work(settings: Settings, plan: Plan) -> None:
    """Be one of several processes, until a signal comes or the parent is gone."""
    listener = _inherited(plan.listener)
    metrics = None if plan.metrics_listener is None else _inherited(plan.metrics_listener)
    async with (
        owning(until_input_ends(), name="parent") as parent,
        _serving(settings, plan, listener, is_shared=True, metrics=metrics) as owned,
    ):
        await wait_for_shutdown(*owned, stopping=parent)


def _inherited(descriptor: int | None) -> socket.socket:
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    return listener


async def run_alone(
    opened: AbstractAsyncContextManager[Service],
    listener: socket.socket,
    *,
    metrics: socket.socket | None,
    on_ready: Callable[[], None],
) -> None:
    """Be one service of several, until a signal comes; `on_ready` is called when it listens."""
    async with opened as service, serving(service, listener, metrics=metrics) as owned:
        on_ready()
        await wait_for_shutdown(*owned)


@asynccontextmanager
async def _serving(
    settings: Settings,
    plan: Plan,
    listener: socket.socket,
    *,
    is_shared: bool = False,
    metrics: socket.socket | None = None,
) -> AsyncIterator[list[asyncio.Task[None]]]:
    # The parent of several processes has no use for it.
    from github_banners.app.all_in_one import open_all_in_one  # noqa: PLC0415

    if plan.github_api_url is not None:
        settings = msgspec.structs.replace(settings, github_api_url=Url(plan.github_api_url))
    opened = open_all_in_one(settings, conninfo=plan.conninfo, banners_dir=Path(plan.banners_dir))
    async with (
        opened as service,
        serving(service, listener, is_shared=is_shared, metrics=metrics) as servers,
    ):
        yield servers
