"""Tasks that run together: the first failure, and a cancellation that makes one of them fail."""

import asyncio

import pytest

from github_banners.tasks import gather_or_cancel


async def fail_when_cancelled(started: asyncio.Event) -> None:
    started.set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise ConnectionError from None


async def fail() -> None:
    raise OSError


async def test_gather_or_cancel_first_failure_is_raised_and_the_task_goes_on() -> None:
    with pytest.raises(OSError):
        await gather_or_cancel(fail_when_cancelled(asyncio.Event()), fail())
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_gather_or_cancel_failure_during_cancellation_does_not_lose_it() -> None:
    started = asyncio.Event()
    gathering = asyncio.create_task(gather_or_cancel(fail_when_cancelled(started)))
    await started.wait()
    gathering.cancel()
    await asyncio.wait({gathering})
    assert gathering.cancelled()
