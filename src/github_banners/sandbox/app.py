"""
The sandbox: a GitHub of one's own, over HTTP, that can be broken on purpose.

Put together here and nowhere else; keeps everything in memory and opens nothing but recordings.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException

from github_banners.model import Clock, utc_now
from github_banners.sandbox import answers
from github_banners.sandbox.answers import Refusal
from github_banners.sandbox.breakage import Sleep, breaking
from github_banners.sandbox.control import control_routes
from github_banners.sandbox.desk import Desk
from github_banners.sandbox.faults import Failure, Faults
from github_banners.sandbox.limits import Budgets, Tokens
from github_banners.sandbox.population import Population
from github_banners.sandbox.recordings import read_recordings
from github_banners.sandbox.routes import REST, Asked, Reply, ask_graphql, identify, respond
from github_banners.sandbox.world import World


def create_app(
    *,
    seed: int = 1,
    recordings: Path | None = None,
    latency_seconds: float = 0,
    failures: Sequence[Failure] = (),
    failure_share: float = 1.0,
    tokens: Mapping[str, int | None] | None = None,
    budget: int | None = None,
    clock: Clock = utc_now,
    sleep: Sleep = asyncio.sleep,
) -> Litestar:
    """
    Make a GitHub: REST at `/`, GraphQL at `/graphql`, both also below `/api`, controls at `/_sandbox`.

    The same `seed` invents the same people. `recordings` is a directory of recorded exchanges whose
    owners live here too. Every answer waits `latency_seconds`; of the requests `failure_share` (0 to
    1) fail, in turn as `failures` say. `tokens` maps a token to the number of the account that it
    belongs to (several may share one), or to None when it is revoked; without it every token is
    good, each with an account of its own. `budget` is what everybody has left of the first hour.

    :raises Misconfigured: `recordings` holds nothing complete
    """
    recorded = read_recordings(recordings) if recordings is not None else ()
    desk = Desk(
        Population(World(seed=seed), recorded),
        tokens=Tokens(tokens or {}),
        budgets=Budgets(at_start=budget),
        faults=Faults(latency_seconds, tuple(failures), failure_share),
        clock=clock,
    )
    return Litestar(
        [_github_routes(desk, sleep=sleep), control_routes()],
        dependencies={"desk": Provide(lambda: desk, sync_to_thread=False)},
        exception_handlers={Refusal: _refuse, HTTPException: _explain},
        logging_config=None,
        openapi_config=None,
    )


def _github_routes(desk: Desk, *, sleep: Sleep) -> Router:
    """Gather all that can be delayed, limited and broken."""
    enterprise = Router("/api", route_handlers=[Router("/v3", route_handlers=REST), ask_graphql])
    return Router(
        "/",
        route_handlers=[*REST, ask_graphql, enterprise],
        middleware=[breaking(desk, sleep=sleep)],
        dependencies={"caller": Provide(identify, sync_to_thread=False)},
    )


def _refuse(_: Asked, refusal: Refusal) -> Reply:
    return respond(refusal.answer)


def _explain(_: Asked, error: HTTPException) -> Reply:
    message = "Not Found" if error.status_code == 404 else str(error.detail)
    return respond(answers.said(error.status_code, message, headers=error.headers))
