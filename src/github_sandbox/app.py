"""
The sandbox: a fake GitHub over HTTP that can be broken on purpose.

Put together here and nowhere else; keeps everything in memory and opens nothing but recordings.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from github_sandbox import answers, control
from github_sandbox.answers import Refusal
from github_sandbox.breakage import FaultMiddleware, Sleep
from github_sandbox.desk import Clock, Desk
from github_sandbox.faults import Failure, Faults
from github_sandbox.limits import Budgets, Tokens
from github_sandbox.population import LoginTaken, NobodyThere, Population
from github_sandbox.recordings import read_recordings
from github_sandbox.routes import github_routes, to_response
from github_sandbox.world import World


def _utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(
    *,
    seed: int = 1,
    recordings: Path | None = None,
    latency_seconds: float = 0,
    failures: Sequence[Failure] = (),
    failure_share: float = 1.0,
    tokens: Mapping[str, int | None] | None = None,
    budget: int | None = None,
    clock: Clock = _utc_now,
    sleep: Sleep = asyncio.sleep,
) -> Starlette:
    """
    Make a GitHub: REST at `/`, GraphQL at `/graphql`, both also below `/api`, controls at `/_sandbox`.

    The same `seed` invents the same people. `recordings` is a directory of recorded exchanges whose
    owners live here too. Every answer waits `latency_seconds`; of the requests `failure_share` (0 to
    1) fail, in turn as `failures` say. `tokens` maps a token to the number of the account that it
    belongs to (several may share one), or to None when it is revoked; without it every token is
    good, each with an account of its own. `budget` is what everybody has left of the first hour.

    :raises RecordingsError: `recordings` holds nothing complete
    """
    recorded = read_recordings(recordings) if recordings is not None else ()
    desk = Desk(
        Population(World(seed=seed), recorded),
        tokens=Tokens(tokens or {}),
        budgets=Budgets(at_start=budget),
        faults=Faults(latency_seconds, tuple(failures), failure_share),
        clock=clock,
    )
    broken = Middleware(FaultMiddleware, desk=desk, sleep=sleep)
    app = Starlette(
        routes=[*github_routes(middleware=[broken]), *control.CONTROL_ROUTES],
        exception_handlers={
            Refusal: _refuse,
            HTTPException: _explain,
            NobodyThere: control.nobody_there,
            LoginTaken: control.login_taken,
            msgspec.DecodeError: control.unreadable,
        },
    )
    # A path with another slash at its end is another path, as on GitHub.
    app.router.redirect_slashes = False
    app.state.desk = desk
    return app


async def _refuse(_: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return to_response(refusal.answer)


async def _explain(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return to_response(answers.said(error.status_code, error.detail, headers=error.headers))
