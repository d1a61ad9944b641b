"""Explain the statements that functions of the database package execute, with their parameters."""

import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composable
from psycopg.types.json import JsonLoader

T = TypeVar("T")

_PACKAGE = "github_banners.database."
_EXPLAIN = SQL("explain (analyze, buffers, format json) ")

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, the function that executed it, and its plan as executed."""

    call: str
    function: str
    text: str
    plan: Node
    milliseconds: float

    @property
    def kind(self) -> str:
        """What the statement does: select, insert, update or delete."""
        root = self.plan["Node Type"]
        operation = self.plan["Operation"] if root == "ModifyTable" else None
        operations = [node["Operation"] for node in self.nodes if "Operation" in node]
        return str(operation or (operations or ["select"])[0]).lower()

    @property
    def rows(self) -> int:
        """Rows that were returned."""
        return int(self.plan["Actual Rows"])

    @property
    def nodes(self) -> list[Node]:
        """All nodes of the plan, the root first."""
        return list(_walk(self.plan))

    @property
    def buffers(self) -> int:
        """Pages that were read, from the cache or the disk."""
        return int(self.plan["Shared Hit Blocks"]) + int(self.plan["Shared Read Blocks"])

    @property
    def rows_removed(self) -> int:
        """Rows that were read in vain: removed by a filter, a recheck or a join's filter."""
        return sum(count_removed(node) for node in self.nodes)

    @property
    def rows_read(self) -> int:
        """Rows of tables that were read, removed ones included."""
        return sum(
            round(node["Actual Rows"] * node["Actual Loops"]) + count_removed(node)
            for node in self.nodes
            if "Relation Name" in node and node["Node Type"] != "ModifyTable"
        )

    @property
    def scans(self) -> list[str]:
        """The index, or the table if it is scanned as a whole, of each scan."""
        return [
            node.get("Index Name") or f"{node['Node Type']} {node['Relation Name']}"
            for node in self.nodes
            if "Index Name" in node or node["Node Type"] == "Seq Scan"
        ]


class ExplainingConnection(AsyncConnection[TupleRow]):
    """Explains each statement of the database package before it executes it."""

    runs = 1
    """How often each is explained; the first time it may read pages from the disk."""
    call = ""
    statements: list[Statement]

    def execute(self, query: Any, params: Any = None, **options: Any) -> Coroutine[Any, Any, Any]:
        frame = sys._getframe(1)
        module = str(frame.f_globals["__name__"])
        if not module.startswith(_PACKAGE):
            return super().execute(query, params, **options)
        function = f"{module.removeprefix(_PACKAGE)}.{frame.f_code.co_name}"
        return self._explain(function, query, params)

    async def _explain(self, function: str, query: Any, params: Any) -> Any:
        explain = _EXPLAIN + (query if isinstance(query, Composable) else SQL(query))
        cursor = self.cursor()
        cursor.adapters.register_loader("json", JsonLoader)  # the service has one of its own
        row = None
        for _ in range(self.runs):
            await super().execute("savepoint explained")
            row = await (await cursor.execute(explain, params)).fetchone()
            await super().execute("rollback to savepoint explained")
        assert row is not None
        [result] = row[0]
        text = query if isinstance(query, str) else query.as_string(self)
        self.statements.append(
            Statement(self.call, function, text, result["Plan"], result["Execution Time"])
        )
        return await super().execute(query, params)


async def explain_calls(
    conn: ExplainingConnection,
    calls: Mapping[str, Callable[[ExplainingConnection, T], Awaitable[object]]],
    sample: T,
) -> list[Statement]:
    """Make calls, each in a transaction that is rolled back; return their statements."""
    conn.statements = []
    for name, call in calls.items():
        conn.call = name
        async with conn.transaction(force_rollback=True):
            await call(conn, sample)
    return conn.statements


def count_removed(node: Node) -> int:
    """Return the rows that a node read and removed, over all its loops."""
    kinds = ("Filter", "Join Filter", "Index Recheck")
    removed = sum(node.get(f"Rows Removed by {kind}", 0) for kind in kinds)
    return int(removed * node["Actual Loops"])


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from _walk(child)
