"""Errors of aiokafka are converted to those of this project."""

import inspect
from collections.abc import Callable

import pytest
from aiokafka import errors as kafka_errors  # type: ignore[import-untyped]

from github_banners.errors import BannersError, BrokerUnavailable, RemoteRejected
from github_banners.messaging.kafka import broker_errors

AIOKAFKA_ERRORS = sorted(
    {
        error
        for _, error in inspect.getmembers(kafka_errors, inspect.isclass)
        if issubclass(error, Exception)
        and error.__module__ == kafka_errors.__name__
        # Only the base class of errors with a number.
        and error is not kafka_errors.BrokerResponseError
    },
    key=lambda error: str(error.__name__),
)


def convert(make_error: Callable[[], BaseException]) -> BannersError:
    with pytest.raises(BannersError) as caught, broker_errors():
        raise make_error()
    return caught.value


@pytest.mark.parametrize("error_class", AIOKAFKA_ERRORS)
def test_broker_errors_any_error_of_aiokafka_is_converted(error_class: type[Exception]) -> None:
    error = convert(error_class)
    too_large = {kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError}
    assert type(error) is (RemoteRejected if error_class in too_large else BrokerUnavailable)
    assert "\n" not in str(error)
    assert isinstance(error.__cause__, error_class)


@pytest.mark.parametrize(
    "make_error", [TimeoutError, ConnectionResetError, lambda: OSError(1, "a\nb")]
)
def test_broker_errors_socket_error_is_converted(make_error: Callable[[], OSError]) -> None:
    error = convert(make_error)
    assert type(error) is BrokerUnavailable
    assert "\n" not in str(error)


def test_broker_errors_other_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError), broker_errors():
        raise ZeroDivisionError
