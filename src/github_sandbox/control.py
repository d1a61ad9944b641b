"""
The sandbox's own paths: configure faults, change accounts while it runs, and read what was requested.

Never delayed, limited or broken themselves.
"""

from typing import Any

import msgspec
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from github_sandbox.desk import Desk
from github_sandbox.faults import Faults, Schedule
from github_sandbox.nouns import Account


class Rename(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Give an account another login."""

    login: str
    to: str


class Delete(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Remove an account."""

    login: str


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    Change an account: its display name, the stars of its oldest original repository.

    With `take_over` the login is free and somebody new takes it first.
    """

    login: str
    name: str | None = None
    stars: int | None = None
    take_over: bool = False


class Known(msgspec.Struct, frozen=True):
    """An account as these paths describe it."""

    id: int
    login: str
    name: str | None
    repositories: int


class StructResponse(JSONResponse):
    """A response whose body is a `msgspec` struct."""

    def render(self, content: Any) -> bytes:
        """Encode the struct as JSON."""
        return msgspec.json.encode(content)


class FaultsEndpoint(HTTPEndpoint):
    """How requests fail at present."""

    async def get(self, request: Request) -> Response:
        """Return it."""
        return StructResponse(_desk(request).schedule.faults)

    async def put(self, request: Request) -> Response:
        """Replace it; a field that is left out takes its default."""
        faults = msgspec.json.decode(await request.body(), type=Faults)
        _desk(request).schedule = Schedule(faults)
        return StructResponse(faults)


async def get_calls(request: Request) -> Response:
    """Return how much has been requested so far."""
    return StructResponse(_desk(request).calls)


async def rename(request: Request) -> Response:
    """Give an account another login."""
    command, desk = msgspec.json.decode(await request.body(), type=Rename), _desk(request)
    return _account(desk.population.rename(command.login, to=command.to, now=desk.now()))


async def delete(request: Request) -> Response:
    """Remove an account."""
    command = msgspec.json.decode(await request.body(), type=Delete)
    _desk(request).population.delete(command.login)
    return Response(status_code=204)


async def change(request: Request) -> Response:
    """Change an account, or let somebody new have its login."""
    command, desk = msgspec.json.decode(await request.body(), type=Change), _desk(request)
    if command.take_over:
        desk.population.take_over(command.login)
    changed = desk.population.change(
        command.login, now=desk.now(), name=command.name, stars=command.stars
    )
    return _account(changed)


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def _account(account: Account) -> Response:
    summary = Known(account.id, account.login, account.name, len(account.repositories))
    return StructResponse(summary)


async def nobody_there(_: Request, error: Exception) -> Response:
    """Respond to a request about an account that does not exist."""
    return JSONResponse({"error": f"nobody is called {error}"}, status_code=404)


async def login_taken(_: Request, error: Exception) -> Response:
    """Respond to a request for a login that somebody else has."""
    return JSONResponse({"error": f"{error} is somebody else"}, status_code=409)


async def unreadable(_: Request, error: Exception) -> Response:
    """Respond to a body that is no JSON, or not what the path expects."""
    return JSONResponse({"error": "unreadable wish", "because": str(error)}, status_code=400)


CONTROL_ROUTES = (
    Route("/_sandbox/faults", FaultsEndpoint),
    Route("/_sandbox/calls", get_calls),
    Route("/_sandbox/rename", rename, methods=["POST"]),
    Route("/_sandbox/delete", delete, methods=["POST"]),
    Route("/_sandbox/change", change, methods=["POST"]),
)
