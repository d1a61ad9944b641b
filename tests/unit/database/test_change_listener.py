"""Payloads of change notifications, and the end of the listener."""

import asyncio

import psycopg
import pytest

from github_banners.database.change_listener import ChangeListener, _parse_ids
from github_banners.database.connect import Database
from github_banners.models import utc_now
from github_banners.stats.snapshots import Invalidations


@pytest.mark.parametrize(
    ("payload", "ids"),
    [("7", [7]), ("7,8", [7, 8]), ("", []), ("*", None), ("7,eight", None), ("*,7", None)],
)
def test_parse_ids_malformed_payload_means_any_owner(payload: str, ids: list[int] | None) -> None:
    assert _parse_ids(payload) == ids


async def test_run_cancelled_while_the_connection_is_lost_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = asyncio.Event()

    async def fail_when_cancelled() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise psycopg.OperationalError from None

    async def listen(_: ChangeListener) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail_when_cancelled())

    monkeypatch.setattr(ChangeListener, "_listen", listen)
    listener = ChangeListener(
        "", database=Database("host=x"), invalidations=Invalidations(clock=utc_now)
    )
    listening = asyncio.create_task(listener.run())
    await started.wait()
    listening.cancel()
    done, _ = await asyncio.wait({listening}, timeout=5)
    assert done == {listening}
    assert listening.cancelled()
