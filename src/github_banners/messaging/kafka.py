"""
Where aiokafka's words become ours: what every client of the broker shares.

Sends nothing, takes nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka.errors import (  # type: ignore[import-untyped]
    ConsumerStoppedError,
    IllegalOperation,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from github_banners.errors import BrokerUnavailable, RemoteRejected
from github_banners.messaging.events import Record

DRIVER_ERRORS = (KafkaError, ConsumerStoppedError, IllegalOperation, OSError, UnicodeError)
"""What aiokafka raises; time-outs are an OSError, a host that no name can have a UnicodeError."""

MAX_EVENT_BYTES = 1_000_000
"""Below what a topic takes unless told otherwise (`max.message.bytes`, 1,048,588)."""

MAX_DEAD_LETTER_BYTES = 4 * 1024 * 1024
"""A dead letter is a message of any topic, and headers."""


@contextmanager
def broker_errors() -> Iterator[None]:
    """Turn aiokafka's errors into BrokerUnavailable, or Rejected where it is the message."""
    try:
        yield
    except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
        raise RemoteRejected(_message(error)) from error
    except DRIVER_ERRORS as error:
        raise BrokerUnavailable(_message(error)) from error


def to_record(message: Any) -> Record:
    """Read what a consumer was given; a value or a header that is nothing becomes empty."""
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value or b"",
        headers=tuple((name, value or b"") for name, value in message.headers),
        timestamp_ms=message.timestamp,
    )


def _message(error: BaseException) -> str:
    return f"the broker: {str(error).partition(chr(10))[0] or type(error).__name__}"
