"""
Why a server does not let us in: in one sentence, for whoever has set us up.

libpq keeps the code of a refused connection to itself, and what the server says about it depends on
the server's language. The code stands in libpq's trace, so the attempt is made once more and traced.
https://www.postgresql.org/docs/current/libpq-control.html#LIBPQ-PQTRACE
"""

import asyncio
import os
import re
import selectors
import sys
import time

import psycopg
from psycopg import pq

_TIMEOUT_SECONDS = 3.0
_MESSAGES = {
    "28P01": "PostgreSQL refuses the password of {user!r}: check POSTGRES_USER, POSTGRES_PASSWORD",
    "28000": "PostgreSQL does not let {user!r} in: check POSTGRES_USER, and the server's pg_hba.conf",
    "3D000": "PostgreSQL has no database {database!r}: check POSTGRES_DB, or create it",
    "42501": "PostgreSQL keeps {user!r} out of database {database!r}: check both, or grant it connect",
}
"""By the codes of https://www.postgresql.org/docs/current/errcodes-appendix.html"""

_NO_PASSWORD = "PostgreSQL wants a password of {user!r}: set POSTGRES_PASSWORD"  # noqa: S105
_SQLSTATE = re.compile(rb'ErrorResponse\t S "\w+" V "\w+" C "(\w{5})"')
_POLL_EVENTS = {
    pq.PollingStatus.READING: selectors.EVENT_READ,
    pq.PollingStatus.WRITING: selectors.EVENT_WRITE,
}


async def explain_login_error(conninfo: str, error: psycopg.OperationalError) -> str | None:
    """Say what is wrong with what we connect with; None where that is not why it failed."""
    attempt = error.pgconn
    if attempt is None:
        return None
    sentence: str | None = _NO_PASSWORD
    if not attempt.needs_password:
        code = await asyncio.to_thread(_fetch_sqlstate, conninfo)
        sentence = _MESSAGES.get(code or "")
    if sentence is None:
        return None
    return sentence.format(user=attempt.user.decode(), database=attempt.db.decode())


def _fetch_sqlstate(conninfo: str) -> str | None:
    """Try to connect; gives the code of the refusal, None for none."""
    if sys.platform != "linux":
        return None
    # The trace may hold a password: it stays in memory, and is not kept.
    with os.fdopen(os.memfd_create("trace"), "rb") as trace:
        conn = pq.PGconn.connect_start(conninfo.encode())
        try:
            conn.trace(trace.fileno())
            _connect(conn)
            conn.untrace()
        finally:
            conn.finish()
        trace.seek(0)
        codes = _SQLSTATE.findall(trace.read())
    return codes[-1].decode() if codes else None


def _connect(conn: pq.abc.PGconn) -> None:
    """Drive an attempt to its end, or to the end of its time."""
    ends_at = time.monotonic() + _TIMEOUT_SECONDS
    while (waits_for := _POLL_EVENTS.get(pq.PollingStatus(conn.connect_poll()))) is not None:
        with selectors.DefaultSelector() as selector:
            selector.register(conn.socket, waits_for)
            if not selector.select(timeout=max(0.0, ends_at - time.monotonic())):
                return
