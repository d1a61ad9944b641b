"""
The sandbox's own paths: break things and change people while it runs, and see what was asked.

Never delayed, limited or broken themselves.
"""

import msgspec
from litestar import Response, Router, get, post, put
from litestar.di import NamedDependency
from litestar.exceptions import ValidationException
from litestar.params import JSONBody

from github_banners.sandbox.desk import Calls, Desk
from github_banners.sandbox.faults import Faults, Schedule
from github_banners.sandbox.nouns import Account
from github_banners.sandbox.population import LoginTaken, NobodyThere


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
    """An account as these paths tell of it."""

    id: int
    login: str
    name: str | None
    repositories: int


@get("/faults")
async def get_faults(desk: NamedDependency[Desk]) -> Faults:
    """Tell how badly things go."""
    return desk.schedule.faults


@put("/faults")
async def put_faults(data: JSONBody[Faults], desk: NamedDependency[Desk]) -> Faults:
    """Let things go better or worse; what is not said goes well."""
    desk.schedule = Schedule(data)
    return data


@get("/calls")
async def get_calls(desk: NamedDependency[Desk]) -> Calls:
    """Tell what has been asked so far."""
    return desk.calls


@post("/rename", status_code=200)
async def rename(data: JSONBody[Rename], desk: NamedDependency[Desk]) -> Known:
    """Give an account another login."""
    return _known(desk.population.rename(data.login, to=data.to, now=desk.now()))


@post("/delete", status_code=204)
async def delete(data: JSONBody[Delete], desk: NamedDependency[Desk]) -> None:
    """Remove an account."""
    desk.population.delete(data.login)


@post("/change", status_code=200)
async def change(data: JSONBody[Change], desk: NamedDependency[Desk]) -> Known:
    """Change an account, or let somebody new have its login."""
    if data.take_over:
        desk.population.take_over(data.login)
    changed = desk.population.change(data.login, now=desk.now(), name=data.name, stars=data.stars)
    return _known(changed)


def _known(account: Account) -> Known:
    return Known(account.id, account.login, account.name, len(account.repositories))


def _nobody(_: object, error: NobodyThere) -> Response[dict[str, str]]:
    return Response({"error": f"nobody is called {error}"}, status_code=404)


def _taken(_: object, error: LoginTaken) -> Response[dict[str, str]]:
    return Response({"error": f"{error} is somebody else"}, status_code=409)


def _unreadable(_: object, error: ValidationException) -> Response[dict[str, object]]:
    return Response({"error": "unreadable wish", "because": error.extra}, status_code=400)


def control_routes() -> Router:
    """Gather these paths."""
    return Router(
        "/_sandbox",
        route_handlers=[get_faults, put_faults, get_calls, rename, delete, change],
        exception_handlers={
            NobodyThere: _nobody,
            LoginTaken: _taken,
            ValidationException: _unreadable,
        },
    )
