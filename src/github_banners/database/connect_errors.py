"""
Explain a failed PostgreSQL login to the operator, in one sentence.

libpq does not expose the SQLSTATE of a refused connection, and the server's message depends on its
language. libpq's trace contains the code, so the connection is tried once more with a trace.
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
    "28P01": "PostgreSQL rejects the password of {user!r}: check POSTGRES_USER, POSTGRES_PASSWORD",
    "28000": "PostgreSQL rejects the user {user!r}: check POSTGRES_USER, and the server's pg_hba.conf",
    "3D000": "PostgreSQL has no database {database!r}: check POSTGRES_DB, or create it",
    "42501": "PostgreSQL user {user!r} may not connect to database {database!r}: check both, or grant it",
}
"""Message by SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html"""

_NO_PASSWORD = "PostgreSQL requires a password for {user!r}: set POSTGRES_PASSWORD"  # noqa: S105
_SQLSTATE = re.compile(rb'ErrorResponse\t S "\w+" V "\w+" C "(\w{5})"')
_POLL_EVENTS = {
    pq.PollingStatus.READING: selectors.EVENT_READ,
    pq.PollingStatus.WRITING: selectors.EVENT_WRITE,
}


async def explain_login_error(conninfo: str, error: psycopg.OperationalError) -> str | None:
    """Explain which setting made a login fail; return None if it failed for another reason."""
    connection = error.pgconn
    if connection is None:
        return None
    message: str | None = _NO_PASSWORD
    if not connection.needs_password:
        sqlstate = await asyncio.to_thread(fetch_sqlstate, conninfo)
        message = _MESSAGES.get(sqlstate or "")
    if message is None:
        return None
    return message.format(user=connection.user.decode(), database=connection.db.decode())


def fetch_sqlstate(conninfo: str) -> str | None:
    """Try to connect; return the SQLSTATE of the refusal, None if there is none."""
    if sys.platform != "linux":
        return None
    # The trace may contain a password: it is written to memory only, and discarded.
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
    """Poll a connection until it is established or refused, or the time limit is reached."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while (events := _POLL_EVENTS.get(pq.PollingStatus(conn.connect_poll()))) is not None:
        with selectors.DefaultSelector() as selector:
            selector.register(conn.socket, events)
            if not selector.select(timeout=max(0.0, deadline - time.monotonic())):
                return
