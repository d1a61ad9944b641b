"""
Errors -> answers, in one place: JSON for programs, a drawn explanation for image clients.

Public words come from the error's class; everything else goes to the log.
"""

from http import HTTPStatus
from pathlib import PurePosixPath

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from github_banners.api.delivery import Client, deliver_explanation, tell_client
from github_banners.drawing import explain
from github_banners.errors import BannersError, UnknownBanner
from github_banners.look import Look, read_query, salvage_look
from github_banners.serving.answers import (
    answer_http,
    deliver_problem,
    known_error,
    respond,
)

_PICTURES = "/banners/"


class ExplainProblem:
    """Turns our errors into answers; `host` is what a drawn explanation may call this service."""

    def __init__(self, *, host: str) -> None:
        self._host = host

    def __call__(self, request: Request, error: Exception) -> Response:
        """Answer one of our own errors, or hide one that is not."""
        known = known_error(request, error)
        if _wants_picture(request):
            return self._explain(request, known)
        return respond(deliver_problem(known))

    def explain_http(self, request: Request, error: Exception) -> Response:
        """Answer what the framework refuses: no such address, wrong method."""
        assert isinstance(error, HTTPException)
        if _wants_picture(request) and error.status_code == HTTPStatus.NOT_FOUND:
            return self._explain(request, UnknownBanner(_path(request)))
        return answer_http(request, error)

    def _explain(self, request: Request, error: BannersError) -> Response:
        drawing = explain(error, look=_look_of(request), host=self._host)
        return respond(deliver_explanation(error, drawing))


def _look_of(request: Request) -> Look:
    """Make an explanation suit the page that it stands on as far as that can be told."""
    try:
        return salvage_look(read_query(request.scope["query_string"].decode(errors="replace")))
    except ValueError:
        return Look()


def _path(request: Request) -> str:
    """Return the path, without a look at the `Host` header that `Request.url` takes."""
    path: str = request.scope["path"]
    return path


def _wants_picture(request: Request) -> bool:
    path = _path(request)
    client = tell_client(request.headers.get("accept", ""), suffix=PurePosixPath(path).suffix)
    is_read = request.method in {"GET", "HEAD"}
    return is_read and path.startswith(_PICTURES) and client is Client.IMAGE
