"""
An image proxy gets a picture in time whatever is down, and the service recovers soon after.

Three services share a database: the cache entries of `fresh` stay current, those of `soft` and `hard`
expire after a second. `-s` shows the table of results. With `SOAK=long` every fault lasts half a
minute, and the service has its default timeouts.
"""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.breakable_backends import BreakableSandbox, Postgres, filled, small_disk
from tests.acceptance.fault_checks import (
    FaultCheck,
    Row,
    is_healthy,
    missing_login,
    new_login,
    post_banner,
    preview_url,
    wait_until,
)
from tests.acceptance.image_proxy import ImageProxy
from tests.acceptance.processes import (
    Running,
    copy_prepared_database,
    environment,
    find_processes,
    prepared_data_dir,
    reachable_dir,
    running,
)
from tests.long_form import IS_LONG

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
]

FAULT_SECONDS = 30 if IS_LONG else 1
REQUEST_SECONDS = 10 if IS_LONG else 3
RECOVERY_SECONDS = 10.0
PAUSE_SECONDS = 70.0
KNOWN = "mia-maintains"
BANNER = f"/banners/{KNOWN}-default"
AGES = {"fresh": ("10m", "24h"), "soft": ("1s", "24h"), "hard": ("1s", "1s")}
# The failures of a line alternate.
FAILURES = ("502,503", "html,half,drop", "timeout")
REFUSALS = ("401", "rate-limited")


@dataclass
class FaultHarness:
    """The backends that fail, and the services that must not."""

    github: BreakableSandbox
    postgres: Postgres
    services: dict[str, Running]
    settings: dict[str, str]
    proxy: ImageProxy
    rows: list[Row]
    _stored: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def fresh(self) -> Running:
        return self.services["fresh"]

    @property
    def cached_urls(self) -> list[str]:
        """Return the URLs of all pictures that a service has cached, at every age."""
        return [
            url
            for service in self.services.values()
            for url in (preview_url(service, KNOWN), service.url + BANNER)
        ]

    def stored_login(self) -> str:
        """Return a login that is in PostgreSQL, but not in the cache of `fresh`."""
        return f"dev-{next(self._stored)}"

    @contextmanager
    def late_service(self) -> Iterator[Running]:
        """Start another service, whose cache is empty."""
        with running("serve", env=environment(**self.settings)) as served:
            yield served


@pytest.fixture(scope="module")
def harness(proxy: ImageProxy, rows: list[Row]) -> Iterator[FaultHarness]:
    with reachable_dir() as folder, ExitStack() as stack:
        github, postgres = BreakableSandbox(), Postgres(folder)
        for backend in (github, postgres):
            stack.callback(backend.close)
            backend.start()
        settings = {
            "PORT": "0",
            "DATA_DIR": str(folder),
            "GITHUB_API_URL": github.url,
            "GITHUB_TOKENS": "ghp_sandbox",
            "RATE_LIMIT_RPS": "1000",
            "REQUEST_TIMEOUT": f"{REQUEST_SECONDS}s",
            "LOG_FORMAT": "json",
            **postgres.settings,
        }
        services = {
            name: stack.enter_context(
                running("serve", env=environment(SOFT_TTL=soft, HARD_TTL=hard, **settings))
            )
            for name, (soft, hard) in AGES.items()
        }
        harness = FaultHarness(github, postgres, services, settings, proxy, rows)
        _fill(harness, folder)
        yield harness


def _fill(harness: FaultHarness, folder: Path) -> None:
    """Fill all caches with one user and one banner, and PostgreSQL with more users."""
    hard = harness.services["hard"]
    assert post_banner(hard, KNOWN).status_code == 201
    assert all(response.shows_numbers for response in harness.proxy.fetch_all(harness.cached_urls))
    urls = [preview_url(hard, f"dev-{number}") for number in range(1, 25)]
    assert all(response.shows_numbers for response in harness.proxy.fetch_all(urls))
    stored = folder / "files" / "banners" / f"{KNOWN}-default.svg"
    wait_until(stored.exists, limit=60)
    with psycopg.connect(harness.postgres.conninfo, autocommit=True) as database:

        def are_stored() -> bool:
            row = database.execute("select count(*) from users").fetchone()
            return row == (1 + len(urls),)

        wait_until(are_stored, limit=60)


@pytest.mark.parametrize("failure", FAILURES)
def test_github_error_breaks_no_picture(harness: FaultHarness, failure: str) -> None:
    # A request that hangs ends with its timeout, and is repeated two seconds later.
    extra_seconds = REQUEST_SECONDS + 2 if failure == "timeout" else 0
    outage = harness.github.failing(failure)
    _without_github(
        harness, f"GitHub: {failure}", outage, recovers_within=RECOVERY_SECONDS + extra_seconds
    )


def test_frozen_github_breaks_no_picture(harness: FaultHarness) -> None:
    _without_github(harness, "GitHub frozen", harness.github.frozen())


def test_killed_github_breaks_no_picture(harness: FaultHarness) -> None:
    _without_github(harness, "GitHub refuses connections", harness.github.killed())


def _without_github(
    harness: FaultHarness,
    fault: str,
    outage: AbstractContextManager[None],
    *,
    recovers_within: float = RECOVERY_SECONDS,
) -> None:
    fresh, unknown_login = harness.fresh, new_login()
    fault_check = FaultCheck(fault, harness.proxy, seconds=FAULT_SECONDS)
    with outage:
        fault_check.expect_numbers(*harness.cached_urls, preview_url(fresh, harness.stored_login()))
        old = preview_url(harness.services["hard"], KNOWN)
        wait_until(lambda: fault_check.expect_numbers(old)[0].is_dated, limit=60)
        fault_check.fetch(preview_url(fresh, unknown_login), preview_url(fresh, missing_login()))
        crowd = [preview_url(fresh, login) for login in (new_login(), new_login(), missing_login())]
        fault_check.fetch_repeatedly(
            *harness.cached_urls, preview_url(fresh, unknown_login), *crowd
        )
        assert post_banner(fresh, KNOWN).status_code == 200
        assert post_banner(fresh, unknown_login).status_code == 503
    recovered_after = wait_until(
        lambda: (
            is_healthy(fresh, harness.proxy, unknown_login, new_login())
            and is_healthy(harness.services["hard"], harness.proxy, KNOWN)
        ),
        limit=recovers_within,
    )
    harness.rows.append(fault_check.row(recovered_after=recovered_after))


def test_killed_postgresql_breaks_no_picture(harness: FaultHarness) -> None:
    _without_postgres(harness, "PostgreSQL killed, then restarted", harness.postgres.killed())


def test_frozen_postgresql_breaks_no_picture(harness: FaultHarness) -> None:
    _without_postgres(harness, "PostgreSQL frozen", harness.postgres.frozen())


def _without_postgres(
    harness: FaultHarness, fault: str, outage: AbstractContextManager[None]
) -> None:
    fresh, unknown_login = harness.fresh, new_login()
    fault_check = FaultCheck(fault, harness.proxy, seconds=FAULT_SECONDS)
    with outage:
        fault_check.expect_numbers(*harness.cached_urls)
        fault_check.expect_numbers(
            preview_url(fresh, harness.stored_login()), preview_url(fresh, unknown_login)
        )
        [unknown] = fault_check.fetch(preview_url(fresh, missing_login()))
        assert unknown.description == "user doesn't exist"
        seen_never = [preview_url(fresh, new_login()) for _ in range(5)]
        fault_check.fetch_repeatedly(
            *harness.cached_urls, *seen_never, preview_url(fresh, missing_login())
        )
        assert post_banner(fresh, unknown_login).status_code == 503
        assert fresh.get("/readyz").json() == {"status": "ready", "degraded": ["database"]}
    recovered_after = wait_until(
        lambda: is_healthy(fresh, harness.proxy, unknown_login, new_login()), limit=RECOVERY_SECONDS
    )
    harness.rows.append(fault_check.row(recovered_after=recovered_after))


@pytest.mark.parametrize("outage", ["killed", "frozen"])
def test_start_without_github_serves_explanations_until_it_is_up(
    harness: FaultHarness, outage: str
) -> None:
    outage_context = getattr(harness.github, outage)()
    fault_check = FaultCheck(f"started with GitHub {outage}", harness.proxy, seconds=0)
    with ExitStack() as stack:
        with outage_context:
            late = stack.enter_context(harness.late_service())
            fault_check.expect_numbers(late.url + BANNER, preview_url(late, KNOWN))
            fault_check.fetch_repeatedly(
                preview_url(late, new_login()),
                preview_url(late, missing_login()),
                late.url + BANNER,
            )
        recovered_after = wait_until(
            lambda: is_healthy(late, harness.proxy, new_login(), KNOWN), limit=RECOVERY_SECONDS
        )
    harness.rows.append(fault_check.row(recovered_after=recovered_after))


@pytest.mark.parametrize("outage", ["killed", "frozen"])
def test_start_without_postgresql_works_once_it_is_up(harness: FaultHarness, outage: str) -> None:
    outage_context = getattr(harness.postgres, outage)()
    fault_check = FaultCheck(f"started with PostgreSQL {outage}", harness.proxy, seconds=0)
    with ExitStack() as stack:
        with outage_context:
            late = stack.enter_context(harness.late_service())
            fault_check.expect_numbers(late.url + BANNER, preview_url(late, KNOWN))
            fault_check.expect_numbers(preview_url(late, new_login()))
            fault_check.fetch_repeatedly(
                preview_url(late, new_login()),
                preview_url(late, missing_login()),
                late.url + BANNER,
            )
            assert post_banner(late, KNOWN).status_code == 503
        recovered_after = wait_until(
            lambda: is_healthy(late, harness.proxy, new_login(), KNOWN), limit=RECOVERY_SECONDS
        )
    harness.rows.append(fault_check.row(recovered_after=recovered_after))


def test_all_backends_down_breaks_no_picture(harness: FaultHarness) -> None:
    fault_check = FaultCheck(
        "GitHub hangs, PostgreSQL killed; also started", harness.proxy, seconds=0
    )
    with ExitStack() as stack:
        with harness.github.frozen(), harness.postgres.killed():
            fault_check.expect_numbers(*harness.cached_urls)
            late = stack.enter_context(harness.late_service())
            fault_check.expect_numbers(late.url + BANNER)
            unknown = [preview_url(late, login) for login in (KNOWN, new_login(), missing_login())]
            fault_check.fetch_repeatedly(
                *harness.cached_urls, *unknown, preview_url(harness.fresh, new_login())
            )
            assert post_banner(late, KNOWN).status_code == 503
            with harness.late_service() as another:
                fault_check.fetch(preview_url(another, new_login()))
                assert another.stop() == 0
        recovered_after = wait_until(
            lambda: (
                is_healthy(late, harness.proxy, new_login(), KNOWN)
                and is_healthy(harness.fresh, harness.proxy, new_login(), KNOWN)
            ),
            limit=RECOVERY_SECONDS,
        )
    harness.rows.append(fault_check.row(recovered_after=recovered_after))


def _embedded(harness: FaultHarness, data_dir: Path) -> dict[str, str]:
    """Return the settings of a service with an embedded PostgreSQL."""
    own = {name: value for name, value in harness.settings.items() if "PG" not in name}
    own = {name: value for name, value in own.items() if not name.startswith(("DB_", "POSTGRES_"))}
    return {**own, "DATA_DIR": str(data_dir)}


def test_killed_embedded_postgresql_is_restarted(harness: FaultHarness) -> None:
    fault_check = FaultCheck("embedded PostgreSQL dies by itself", harness.proxy, seconds=0)
    with prepared_data_dir() as folder:
        env = environment(**_embedded(harness, folder))
        with running("serve", env=env) as served:
            assert post_banner(served, KNOWN).status_code == 201
            urls = [preview_url(served, KNOWN), served.url + BANNER]
            killed = 0
            for _ in range(3):
                killed = _server_pid(folder, other_than=killed)
                os.kill(killed, signal.SIGKILL)
                fault_check.expect_numbers(*urls, preview_url(served, new_login()))
            fault_check.fetch_repeatedly(
                *urls, preview_url(served, new_login()), preview_url(served, missing_login())
            )
            recovered_after = wait_until(
                lambda: is_healthy(served, harness.proxy, KNOWN, new_login()),
                limit=RECOVERY_SECONDS,
            )
            assert served.stop() == 0
        assert find_processes(folder) == []
        assert not [line for line in served.errors if "Traceback" in line]
    harness.rows.append(fault_check.row(recovered_after=recovered_after))


def test_full_disk_of_embedded_postgresql_breaks_no_picture(harness: FaultHarness) -> None:
    fault_check = FaultCheck("disk full under the embedded PostgreSQL", harness.proxy, seconds=0)
    with reachable_dir() as folder, small_disk(folder / "disk", size_bytes=160 << 20) as disk:
        copy_prepared_database(disk / "postgresql")
        env = environment(**_embedded(harness, disk))
        with running("serve", env=env) as served:
            assert post_banner(served, KNOWN).status_code == 201
            urls = [preview_url(served, KNOWN), served.url + BANNER]
            with filled(disk):
                fault_check.expect_numbers(*urls)
                unknown = [preview_url(served, new_login()) for _ in range(40)]
                fault_check.expect_numbers(*unknown)
                # Without disk space it cannot restart, either.
                os.kill(_server_pid(disk), signal.SIGKILL)
                fault_check.expect_numbers(*urls, *unknown)
                fault_check.fetch_repeatedly(*urls, preview_url(served, missing_login()))
            recovered_after = wait_until(
                lambda: is_healthy(served, harness.proxy, KNOWN, new_login()),
                limit=RECOVERY_SECONDS,
            )
    harness.rows.append(fault_check.row(recovered_after=recovered_after))


def test_full_disk_of_banners_breaks_no_picture(harness: FaultHarness) -> None:
    fault_check = FaultCheck("disk full under the banners", harness.proxy, seconds=0)
    with prepared_data_dir() as folder, small_disk(folder / "disk", size_bytes=256 << 10) as disk:
        env = environment(BANNERS_STORAGE_URL=disk.as_uri(), **_embedded(harness, folder))
        with running("serve", env=env) as served:
            with filled(disk):
                logins = [new_login() for _ in range(3)]
                for login in logins:
                    assert post_banner(served, login).status_code == 201
                fault_check.expect_numbers(
                    *(f"{served.url}/banners/{login}-default" for login in logins)
                )
                wait_until(
                    lambda: any("outbox.waiting" in line for line in served.errors), limit=60
                )
            files = {f"{login}-default.svg" for login in logins}
            recovered_after = wait_until(
                lambda: {path.name for path in disk.iterdir()} == {".locks", *files}, limit=60
            )
    harness.rows.append(fault_check.row(recovered_after=recovered_after))


def test_outage_logs_few_lines(harness: FaultHarness) -> None:
    """The faults above logged one line for each outage, and no error."""
    for service in harness.services.values():
        events = [json.loads(line) for line in service.errors]
        assert [event for event in events if event["level"] == "error"] == []
        counts = Counter(event["event"] for event in events)
        assert 0 < counts["database.down"] == counts["database.up"]
        assert not [name for name in counts if "." not in name or " " in name]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_rejected_tokens_are_reported_and_break_no_picture(
    harness: FaultHarness, refusal: str
) -> None:
    """The account is blocked for half a minute or as long as GitHub says; only the long run waits."""
    fault_check = FaultCheck(
        f"GitHub: {refusal}", harness.proxy, seconds=FAULT_SECONDS if IS_LONG else 0
    )
    with harness.late_service() as late:
        fault_check.expect_numbers(preview_url(late, KNOWN), late.url + BANNER)
        with harness.github.failing(refusal):
            fault_check.expect_numbers(preview_url(late, KNOWN), late.url + BANNER)
            fault_check.expect_numbers(preview_url(late, harness.stored_login()))
            fault_check.fetch_repeatedly(
                late.url + BANNER,
                preview_url(late, new_login()),
                preview_url(late, missing_login()),
            )
            assert post_banner(late, new_login()).status_code == 503
        fault_check.expect_numbers(
            preview_url(late, KNOWN), preview_url(late, harness.stored_login())
        )
        recovered_after = None
        if IS_LONG and refusal == "401":
            recovered_after = wait_until(
                lambda: is_healthy(late, harness.proxy, new_login(), KNOWN), limit=PAUSE_SECONDS
            )
    harness.rows.append(fault_check.row(recovered_after=recovered_after))


def _server_pid(data_dir: Path, *, other_than: int = 0) -> int:
    """Wait until the embedded server is ready, and return its process id."""
    pid_file = data_dir / "postgresql" / "postmaster.pid"

    def status() -> list[str]:
        return pid_file.read_text().split() if pid_file.exists() else []

    def runs() -> bool:
        return status()[-1:] == ["ready"] and status()[0] != str(other_than)

    wait_until(runs, limit=60)
    return int(status()[0])
