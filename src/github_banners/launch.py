"""What `serve` starts: the service in this process, or in several that this one watches over."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
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
    metrics_port: int | None = None
    github_api_url: str | None = None


@asynccontextmanager
async def launched(
    settings: Settings,
    plan: Plan,
    listener: socket.socket,
    *,
    workers: int,
    github: Any = None,
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """
    Serve while the context lasts, from when requests are answered; none of the tasks ends.

    `github` is an application to be requested in GitHub's place, which is served as well.
    """
    async with AsyncExitStack() as stack:
        owned = []
        if github is not None:
            github_listener = open_listener("127.0.0.1", 0)
            url = f"http://127.0.0.1:{port_number(github_listener)}"
            owned.append(await stack.enter_async_context(listening(github, github_listener)))
            plan = msgspec.structs.replace(plan, github_api_url=url)
        if workers == 1:
            owned += await stack.enter_async_context(_serving(settings, plan, listener))
        else:
            plan = msgspec.structs.replace(plan, listener=listener.fileno())
            plans = [msgspec.json.encode(_plan_of_worker(plan, index)) for index in range(workers)]
            supervising = supervise(["worker"], first_lines=plans, pass_fds=[listener.fileno()])
            owned.append(await stack.enter_async_context(owning(supervising, name="workers")))
            # First of all at the end: what the backlog holds then, the workers empty.
            stack.callback(listener.close)
            stack.callback(turn_away, listener)
            await wait_until_answering(listener, *owned)
        yield owned


def _plan_of_worker(plan: Plan, number: int) -> Plan:
    """Give each its own port for metrics: their numbers are each one's own."""
    if plan.metrics_port is None:
        return plan
    return msgspec.structs.replace(plan, metrics_port=plan.metrics_port + number)


async def work(settings: Settings, plan: Plan) -> None:
    """Be one of several processes, until a signal comes or the parent is gone."""
    listener = socket.socket(fileno=plan.listener)
    listener.setblocking(False)
    async with (
        owning(until_input_ends(), name="parent") as parent,
        _serving(settings, plan, listener, is_shared=True) as owned,
    ):
        await wait_for_shutdown(*owned, stopping=parent)


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
    settings: Settings, plan: Plan, listener: socket.socket, *, is_shared: bool = False
) -> AsyncIterator[list[asyncio.Task[None]]]:
    # The parent of several processes has no use for it.
    from github_banners.app.all_in_one import open_all_in_one  # noqa: PLC0415

    if plan.github_api_url is not None:
        settings = msgspec.structs.replace(settings, github_api_url=Url(plan.github_api_url))
    metrics = None
    if plan.metrics_port is not None:
        metrics = open_listener(settings.host, plan.metrics_port)
    opened = open_all_in_one(settings, conninfo=plan.conninfo, banners_dir=Path(plan.banners_dir))
    async with (
        opened as service,
        serving(service, listener, is_shared=is_shared, metrics=metrics) as servers,
    ):
        yield servers
