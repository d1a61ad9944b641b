"""
Measure the WAL of refreshes: `python -m scripts.measure_wal CONNINFO MINUTES`.

The database is one that `scripts.fill_database` has filled, and is changed: use a copy. First run it
once with `prepare` in place of MINUTES, which saves every owner. MINUTES are
those between two checkpoints, `checkpoint_timeout` of the server. After a checkpoint as many owners
are refreshed as are due in that time, because the first change of a page writes the whole page.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from github_banners.database import data_leases, leases, owner_data, users
from github_banners.database.loaders import register_loaders
from github_banners.database.session import Connection, connect
from github_banners.models import (
    OWNERS_PER_QUERY,
    Contributions,
    OwnerRepositories,
    Stats,
    aggregate,
)
from tests.integration.database.statement_calls import fetch_stored, replace_last_day

HOUR = timedelta(hours=1)
REFRESHES_PER_OWNER_AND_HOUR = 0.343  # follows from the tiers of `population.fill`


@dataclass
class Measurement:
    """Refreshes on one connection, at a time that each of them moves on."""

    conn: Connection
    now: datetime

    async def refresh_owners(self, count: int, *, changed_share: float) -> int:
        """Refresh owners in batches; every `1 / changed_share`th has got a star."""
        refreshed = changed = 0
        while refreshed < count:
            self.now += timedelta(seconds=1)
            async with self.conn.transaction():
                due = await leases.lease_due_users(
                    self.conn, now=self.now, limit=OWNERS_PER_QUERY, interval=HOUR
                )
            if not due:
                sys.exit(f"Only {refreshed:,} of {count:,} owners are due: give fewer MINUTES.")
            ids = [owner.id for owner in due]
            fetched = await fetch_stored(self.conn, ids, fetched_at=self.now)
            for position, (data, _) in enumerate(fetched):
                if data.repositories and changed < changed_share * (refreshed + position + 1):
                    changed += 1
                    fetched[position] = _with_another_star(data)
            async with self.conn.transaction():
                await users.upsert_owners(self.conn, fetched, now=self.now)
                await leases.schedule_users(self.conn, ids, now=self.now, interval=HOUR)
            refreshed += len(due)
        return refreshed

    async def refresh_contributions(self, count: int, *, is_changed: bool) -> int:
        """Refresh contributions, to which a contribution on the last day is added."""
        rows = await (
            await self.conn.execute(
                "select owner_id from owner_data where need = 'contributions'"
                " order by due_at limit %s",
                [count],
            )
        ).fetchall()
        for (owner_id,) in rows:
            self.now += timedelta(seconds=1)
            stored = await owner_data.select_data(self.conn, owner_id, ["contributions"])
            content = stored["contributions"].content
            assert isinstance(content, Contributions)
            async with self.conn.transaction():
                await self.conn.execute(
                    "update owner_data set leased_until = %s where owner_id = %s and need = %s",
                    [self.now, owner_id, "contributions"],
                )
            async with self.conn.transaction():
                await owner_data.save_data(
                    self.conn,
                    owner_id,
                    "contributions",
                    replace_last_day(content) if is_changed else content,
                    fetched_at=self.now,
                    now=self.now,
                )
            async with self.conn.transaction():
                await data_leases.schedule_data(self.conn, [owner_id], now=self.now, interval=HOUR)
        return len(rows)

    async def measure(self, what: str, work: Callable[[], Awaitable[int]]) -> None:
        """Print the bytes of WAL that one refresh writes after a checkpoint."""
        self.now += timedelta(hours=1)  # so that enough owners are due
        await self.conn.execute("vacuum")
        await self.conn.execute("checkpoint")
        before = await self._read_position()
        count = await work()
        wal_bytes = await self._read_position() - before
        print(f"| {what} | {count} | {wal_bytes / count:,.0f} |", flush=True)  # noqa: T201

    async def _read_position(self) -> int:
        query = "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
        row = await (await self.conn.execute(query)).fetchone()
        assert row is not None
        return int(row[0])


def _with_another_star(data: OwnerRepositories) -> tuple[OwnerRepositories, Stats]:
    first, *rest = data.repositories
    changed = (replace(first, stars=first.stars + 1, is_fork=False), *rest)
    return replace(data, repositories=changed), aggregate(changed)


async def save_everyone(conn: Connection, now: datetime) -> None:
    """Save every owner with its stored repositories, so that numbers and digests fit them."""
    cursor = await conn.execute("select id, fetched_at from users order by id")
    times = dict(await cursor.fetchall())
    ids = list(times)
    for start in range(0, len(ids), 500):
        fetched = await fetch_stored(conn, ids[start : start + 500], fetched_at=now)
        async with conn.transaction():
            await users.upsert_owners(
                conn,
                [
                    (replace(data, fetched_at=times[data.owner.id]), stats)
                    for data, stats in fetched
                ],
                now=now,
            )
    await conn.execute("update banners set published_version = version")
    await conn.execute("vacuum (full, analyze)")


async def main(conninfo: str, minutes: str) -> None:
    """Measure refreshes of owners and of contributions."""
    async with await connect(conninfo) as conn:
        await _measure_all(conn, minutes)


async def _measure_all(conn: Connection, minutes: str) -> None:
    register_loaders(conn)
    query = """
        select max(fetched_at), count(*), (
            select sum(1 / extract(epoch from refresh_every)) * 60
            from owner_data where need = 'contributions'
        )
        from users
    """
    row = await (await conn.execute(query)).fetchone()
    assert row is not None
    now, owners, contributions_per_minute = row
    if minutes == "prepare":
        await save_everyone(conn, now)
        return
    count = round(owners * REFRESHES_PER_OWNER_AND_HOUR / 60 * int(minutes))
    contributions = round(float(contributions_per_minute or 0) * int(minutes))
    if not (count and contributions):
        sys.exit(f"{owners:,} owners are too few to refresh any in {minutes} minutes.")
    measurement = Measurement(conn, now)
    for what, share in (("unchanged owner", 0.0), ("one owner in 20 has changed", 0.05)):
        await measurement.measure(
            what, partial(measurement.refresh_owners, count, changed_share=share)
        )
    for what, is_changed in (("unchanged contributions", False), ("another contribution", True)):
        await measurement.measure(
            what,
            partial(measurement.refresh_contributions, contributions, is_changed=is_changed),
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
