"""What `serve` starts: the service in this process, or in several that this one watches over."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from github_banners.serving.run import claim_port, listening, until_listening, until_stopped
from github_banners.serving.service import Service, owning, serving
from github_banners.serving.workers import supervise, until_input_ends
from github_banners.settings import Settings, Url


class Plan(msgspec.Struct, frozen=True):
    """What the parent of several processes has decided for them."""

    conninfo: str
    banners_dir: str
    port: int
    metrics_port: int | None = None
    github_api_url: str | None = None


@asynccontextmanager
async def launched(
    settings: Settings, plan: Plan, *, workers: int, github: Any = None
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """
    Serve while the context lasts, from when somebody answers on the port; none of the tasks ends.

    `github` is an application to be asked in GitHub's place, which is served as well.
    """
    async with AsyncExitStack() as stack:
        owned = []
        if github is not None:
            port = claim_port("127.0.0.1", 0)
            sandbox_server = listening(github, host="127.0.0.1", port=port)
            owned.append(await stack.enter_async_context(sandbox_server))
            plan = msgspec.structs.replace(plan, github_api_url=f"http://127.0.0.1:{port}")
        if workers == 1:
            owned += await stack.enter_async_context(_serving(settings, plan))
        else:
            plans = [msgspec.json.encode(_plan_of_worker(plan, one)) for one in range(workers)]
            supervising = supervise(["worker"], first_lines=plans)
            owned.append(await stack.enter_async_context(owning(supervising, name="workers")))
            await until_listening(settings.host, plan.port, *owned)
        yield owned


def _plan_of_worker(plan: Plan, number: int) -> Plan:
    """Give each its own port for metrics: their numbers are each one's own."""
    if plan.metrics_port is None:
        return plan
    return msgspec.structs.replace(plan, metrics_port=plan.metrics_port + number)


async def work(settings: Settings, plan: Plan) -> None:
    """Be one of several processes, until a signal comes or the parent is gone."""
    async with (
        _serving(settings, plan) as owned,
        owning(until_input_ends(), name="parent") as parent,
    ):
        await until_stopped(*owned, stopping=parent)


async def run_alone(
    opened: AbstractAsyncContextManager[Service],
    settings: Settings,
    *,
    say: Callable[[str], None],
) -> None:
    """Be one service of several, until a signal comes; `say` is told where it listens."""
    async with (
        opened as service,
        serving(
            service,
            host=settings.host,
            port=settings.port,
            metrics_port=settings.metrics_port,
        ) as owned,
    ):
        say(f"http://{settings.host}:{settings.port}")
        await until_stopped(*owned)


@asynccontextmanager
async def _serving(settings: Settings, plan: Plan) -> AsyncIterator[list[asyncio.Task[None]]]:
    # The parent of several processes has no use for it.
    from github_banners.app import open_all_in_one  # noqa: PLC0415

    if plan.github_api_url is not None:
        settings = msgspec.structs.replace(settings, github_api_url=Url(plan.github_api_url))
    opened = open_all_in_one(settings, conninfo=plan.conninfo, banners_dir=Path(plan.banners_dir))
    async with (
        opened as service,
        serving(
            service, host=settings.host, port=plan.port, metrics_port=plan.metrics_port
        ) as servers,
    ):
        yield servers
