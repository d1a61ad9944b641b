"""
Explain every statement of the service: `python -m scripts.explain_statements CONNINFO CONNINFO`.

Both databases were filled by `scripts.fill_database`, the second with more owners; neither is changed.
The section of docs/performance.md is written, with the plans of the second and the pages of both.
"""

import asyncio
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from github_banners.database.loaders import register_loaders
from tests.benchmarks.report import Report, Title
from tests.integration.database.statement_calls import CALLS, select_sample
from tests.integration.database.statement_plans import (
    ExplainingConnection,
    Statement,
    explain_calls,
)

# As many as tests/integration/database/test_statement_plans.py has: the calls need rows of all kinds.
_MIN_OWNERS = 100_000

_REPORT = Path(__file__).parent.parent / "docs/performance.md"

_TEXT = """\
Every statement of the service, with {owners:,} owners in {version} with the settings of \
`docker-compose.yaml` and a warm cache: what `explain (analyze, buffers)` says. *Read* counts rows of tables, *removed* those of them and of joins \
that a condition removed. Pages of 8 KB are from the cache or the disk, and stand beside those with \
{fewer_owners:,} owners: what grows is the depth of indexes, and what is there to be leased. Of a statement that is executed for \
several things, the most expensive execution is shown. Inserts look up conflicts in indexes that \
a plan does not name. Other work on the machine disturbs the milliseconds.

To repeat: `python -m scripts.fill_database CONNINFO OWNERS` for two new databases (8 GB for a \
million owners), then `python -m scripts.explain_statements CONNINFO CONNINFO`. \
`tests/integration/database/test_statement_plans.py` explains the same statements with 100,000 \
owners and fails for a scan of a table, and for a new statement that no call executes.

{table}
"""


async def explain(conninfo: str) -> tuple[list[Statement], int, str]:
    """
    Return the statements of all calls, the number of owners and the server's version.

    Ends the program if the database has too few owners.
    """
    async with await ExplainingConnection.connect(
        conninfo, autocommit=True, prepare_threshold=None
    ) as conn:
        register_loaders(conn)
        conn.runs = 2  # the second with a warm cache
        query = "select max(fetched_at), count(*), current_setting('server_version') from users"
        row = await (await conn.execute(query)).fetchone()
        assert row is not None
        owners = int(row[1])
        if owners < _MIN_OWNERS:
            sys.exit(f"The calls need {_MIN_OWNERS:,} owners, and a database has {owners:,}.")
        now: datetime = row[0]
        sample = await select_sample(conn, now=now)
        return await explain_calls(conn, CALLS, sample), owners, str(row[2]).split()[0]


def to_table(statements: list[Statement], fewer: list[Statement]) -> str:
    """Write the most expensive execution of each statement as a row, in the order of their pages."""
    pages = {_key(statement): statement.buffers for statement in _by_pages(fewer)}
    lines = [
        "| statement | for | rows | read | removed | indexes | pages | of fewer owners | ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    shown = {(statement.function, statement.kind): statement for statement in _by_pages(statements)}
    for statement in reversed(_by_pages(shown.values())):
        indexes = ", ".join(dict.fromkeys(f"`{name}`" for name in statement.scans))
        lines.append(
            f"| `{statement.function}`, {statement.kind} | {statement.call} | {statement.rows:,} "
            f"| {statement.rows_read:,} | {statement.rows_removed:,} | {indexes} "
            f"| {statement.buffers:,} | {pages[_key(statement)]:,} "
            f"| {statement.milliseconds:.2f} |"
        )
    return "\n".join(lines)


def _by_pages(statements: Iterable[Statement]) -> list[Statement]:
    return sorted(statements, key=lambda statement: statement.buffers)


def _key(statement: Statement) -> tuple[str, str, str]:
    return statement.call, statement.function, statement.kind


async def main(fewer_conninfo: str, conninfo: str) -> None:
    """Explain the statements in both databases, and write the section."""
    fewer, fewer_owners, _ = await explain(fewer_conninfo)
    statements, owners, version = await explain(conninfo)
    text = _TEXT.format(
        owners=round(owners, -3),
        fewer_owners=round(fewer_owners, -3),
        version=f"PostgreSQL {version}",
        table=to_table(statements, fewer),
    )
    report = Report()
    report.add(Title.STATEMENTS, text=text)
    report.write(_REPORT)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
