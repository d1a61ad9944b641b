"""The framework as every door uses it: our errors, no documents of its own, no logging of its own."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException

from github_banners.serving.answers import answer_http, answer_problem

_ANSWERS: Mapping[Any, Any] = {Exception: answer_problem, HTTPException: answer_http}


def make_framework(
    handlers: Sequence[Any],
    *,
    provided: Mapping[str, object],
    on_error: Mapping[Any, Any] = _ANSWERS,
) -> Litestar:
    """Put handlers together; what is `provided` they get by the name of their argument."""
    return Litestar(
        handlers,
        dependencies={
            name: Provide(_always(it), sync_to_thread=False) for name, it in provided.items()
        },
        exception_handlers=cast("Any", on_error),
        openapi_config=None,
        logging_config=None,
    )


def _always(it: object) -> Any:
    return lambda: it
