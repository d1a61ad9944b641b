"""
Composition root: builds the ASGI application from accounts, rate limits, faults and routes.

All state is in memory. Only recordings are read from disk, at start.
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

from github_sandbox import control, responses
from github_sandbox.account_store import (
    AccountNotFound,
    AccountStore,
    LoginTaken,
    RepositoryNameTaken,
    RepositoryNotFound,
)
from github_sandbox.fault_middleware import FaultMiddleware, Sleep
from github_sandbox.faults import Failure, FaultConfig
from github_sandbox.generator import AccountGenerator
from github_sandbox.rate_limits import RateLimiter, Tokens
from github_sandbox.recordings import read_recordings
from github_sandbox.responses import HttpError
from github_sandbox.routes import build_github_routes, to_starlette
from github_sandbox.service import Clock, GitHubService


def _utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(
    *,
    seed: int = 1,
    recordings: Path | None = None,
    latency_seconds: float = 0,
    failures: Sequence[Failure] = (),
    fail_rate: float = 1.0,
    tokens: Mapping[str, int | None] | None = None,
    initial_budget: int | None = None,
    clock: Clock = _utc_now,
    sleep: Sleep = asyncio.sleep,
) -> Starlette:
    """
    Create the fake GitHub as an ASGI application.

    REST is at `/`, GraphQL at `/graphql`, both also below `/api`; the control API is at `/_sandbox`.

    :param seed: the same seed generates the same accounts
    :param recordings: directory of recorded exchanges, whose owners are added to the accounts
    :param latency_seconds: delay of every response
    :param failures: kinds of failure, which take turns
    :param fail_rate: fraction of the requests that fail, 0 to 1
    :param tokens: token -> account id (several may share one), or None for a revoked token; without
        it every token is valid and has an account of its own
    :param initial_budget: points that each account has left in its first hour
    :raises RecordingsError: `recordings` holds no complete list of repositories
    """
    recorded = read_recordings(recordings) if recordings is not None else ()
    service = GitHubService(
        AccountStore(AccountGenerator(seed=seed), recorded),
        tokens=Tokens(tokens or {}),
        rate_limiter=RateLimiter(initial_budget=initial_budget),
        faults=FaultConfig(latency_seconds, tuple(failures), fail_rate),
        clock=clock,
    )
    fault_middleware = Middleware(FaultMiddleware, service=service, sleep=sleep)
    app = Starlette(
        routes=[*build_github_routes(middleware=[fault_middleware]), *control.CONTROL_ROUTES],
        exception_handlers={
            HttpError: _handle_http_error,
            HTTPException: _handle_framework_error,
            AccountNotFound: control.handle_account_not_found,
            LoginTaken: control.handle_login_taken,
            RepositoryNotFound: control.handle_repository_not_found,
            RepositoryNameTaken: control.handle_repository_name_taken,
            msgspec.DecodeError: control.handle_invalid_request,
        },
    )
    # GitHub does not redirect a path with a trailing slash; it is a different, unknown path.
    app.router.redirect_slashes = False
    app.state.service = service
    return app


async def _handle_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)
    return to_starlette(error.response)


async def _handle_framework_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return to_starlette(responses.message(error.status_code, error.detail, headers=error.headers))
