"""Every error of aiokafka has a word of ours."""

import inspect
from collections.abc import Callable

import pytest
from aiokafka import errors as foreign  # type: ignore[import-untyped]

from github_banners.errors import BannersError, BrokerUnavailable, RemoteRejected
from github_banners.messaging.kafka import broker_errors

ALL = sorted(
    {
        error
        for _, error in inspect.getmembers(foreign, inspect.isclass)
        if issubclass(error, Exception)
        and error.__module__ == foreign.__name__
        # Only the mother of those that have a number.
        and error is not foreign.BrokerResponseError
    },
    key=lambda error: str(error.__name__),
)


def raised(make: Callable[[], BaseException]) -> BannersError:
    with pytest.raises(BannersError) as caught, broker_errors():
        raise make()
    return caught.value


@pytest.mark.parametrize("kind", ALL)
def test_every_foreign_error_is_ours(kind: type[Exception]) -> None:
    error = raised(kind)
    too_large = {foreign.MessageSizeTooLargeError, foreign.RecordListTooLargeError}
    assert type(error) is (RemoteRejected if kind in too_large else BrokerUnavailable)
    assert "\n" not in str(error)
    assert isinstance(error.__cause__, kind)


@pytest.mark.parametrize("make", [TimeoutError, ConnectionResetError, lambda: OSError(1, "a\nb")])
def test_so_are_those_of_the_socket(make: Callable[[], OSError]) -> None:
    error = raised(make)
    assert type(error) is BrokerUnavailable
    assert "\n" not in str(error)


def test_mistakes_stay_mistakes() -> None:
    with pytest.raises(ZeroDivisionError), broker_errors():
        raise ZeroDivisionError
