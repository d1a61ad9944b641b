"""A database whose transactions are recorded in traces; used only while traces are on."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeAlias, TypeVar

from github_banners.database.connect import Database
from github_banners.database.session import Connection

T = TypeVar("T")

StartTransactionSpan: TypeAlias = Callable[[str], AbstractContextManager[object]]
"""Starts a span; the argument is the name of the function that runs in it, or empty."""


class TracedDatabase(Database):
    """A `Database` that records one span for each transaction, without its statements."""

    def __init__(self, conninfo: str, *, start_span: StartTransactionSpan) -> None:
        super().__init__(conninfo)
        self._start_span = start_span

    async def run_within(
        self, work: Callable[[Connection], Awaitable[T]], *, timeout_seconds: float
    ) -> T:
        """Run work within a span, which ends when the caller waits no longer."""
        with self._start_span(_function_name(work)):
            return await super().run_within(work, timeout_seconds=timeout_seconds)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Yield a connection in a transaction within a span."""
        with self._start_span(""):
            async with super().transaction() as connection:
                yield connection


def _function_name(work: Callable[..., Any]) -> str:
    function = work.func if isinstance(work, partial) else work
    return str(getattr(function, "__name__", "")).strip("_")
