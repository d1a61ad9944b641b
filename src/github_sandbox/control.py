"""
The control API below `/_sandbox`: configure faults, change accounts, read call counters.

Its requests are never delayed, limited or failed.
"""

from typing import Any

import msgspec
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from github_sandbox.faults import FaultConfig, FaultSchedule
from github_sandbox.models import Account
from github_sandbox.service import GitHubService


class Rename(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Change an account's login or, if one is named, the name of one of its repositories."""

    login: str
    to: str
    repository: str | None = None


class Delete(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Delete an account."""

    login: str


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    Change an account's display name or the stars of its oldest repository that is not a fork.

    With `take_over` a new account is created first, for a login that is free.
    """

    login: str
    name: str | None = None
    stars: int | None = None
    take_over: bool = False


class AccountSummary(msgspec.Struct, frozen=True):
    """An account in the control API's responses."""

    id: int
    login: str
    name: str | None
    repositories: int


class StructResponse(JSONResponse):
    """A JSON response whose content is a msgspec struct."""

    def render(self, content: Any) -> bytes:
        """Encode the content."""
        return msgspec.json.encode(content)


class FaultsEndpoint(HTTPEndpoint):
    """The fault configuration."""

    async def get(self, request: Request) -> Response:
        """Return the configuration."""
        return StructResponse(_get_service(request).fault_schedule.config)

    async def put(self, request: Request) -> Response:
        """Replace the configuration; missing fields get their defaults."""
        config = msgspec.json.decode(await request.body(), type=FaultConfig)
        _get_service(request).fault_schedule = FaultSchedule(config)
        return StructResponse(config)


async def get_calls(request: Request) -> Response:
    """Return the call counters."""
    return StructResponse(_get_service(request).calls)


async def rename(request: Request) -> Response:
    """Change an account's login, or the name of one of its repositories."""
    service = _get_service(request)
    command = msgspec.json.decode(await request.body(), type=Rename)
    if command.repository is None:
        account = service.accounts.rename(command.login, to=command.to, now=service.now())
    else:
        account = service.accounts.rename_repository(
            command.login, command.repository, to=command.to, now=service.now()
        )
    return _account_response(account)


async def delete(request: Request) -> Response:
    """Delete an account."""
    command = msgspec.json.decode(await request.body(), type=Delete)
    _get_service(request).accounts.delete(command.login)
    return Response(status_code=204)


async def change(request: Request) -> Response:
    """Change an account, or create a new one for a free login."""
    service = _get_service(request)
    command = msgspec.json.decode(await request.body(), type=Change)
    if command.take_over:
        service.accounts.take_over(command.login)
    account = service.accounts.change(
        command.login, now=service.now(), name=command.name, stars=command.stars
    )
    return _account_response(account)


def _get_service(request: Request) -> GitHubService:
    service: GitHubService = request.app.state.service
    return service


def _account_response(account: Account) -> Response:
    summary = AccountSummary(account.id, account.login, account.name, len(account.repositories))
    return StructResponse(summary)


async def handle_account_not_found(_: Request, error: Exception) -> Response:
    """Respond to a command for an account that does not exist."""
    return JSONResponse({"error": "account not found", "login": str(error)}, status_code=404)


async def handle_login_taken(_: Request, error: Exception) -> Response:
    """Respond to a command for a login that another account has."""
    return JSONResponse({"error": "login taken", "login": str(error)}, status_code=409)


async def handle_repository_not_found(_: Request, error: Exception) -> Response:
    """Respond to a command for a repository that does not exist."""
    return JSONResponse({"error": "repository not found", "name": str(error)}, status_code=404)


async def handle_repository_name_taken(_: Request, error: Exception) -> Response:
    """Respond to a command for a name that another repository of the account has."""
    return JSONResponse({"error": "repository name taken", "name": str(error)}, status_code=409)


async def handle_invalid_request(_: Request, error: Exception) -> Response:
    """Respond to a body that is not JSON or does not match the command."""
    return JSONResponse({"error": "invalid request", "detail": str(error)}, status_code=400)


CONTROL_ROUTES = (
    Route("/_sandbox/faults", FaultsEndpoint),
    Route("/_sandbox/calls", get_calls),
    Route("/_sandbox/rename", rename, methods=["POST"]),
    Route("/_sandbox/delete", delete, methods=["POST"]),
    Route("/_sandbox/change", change, methods=["POST"]),
)
