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

from github_banners.errors import BrokerUnavailable, Rejected
from github_banners.messages.events import Record

FOREIGN = (KafkaError, ConsumerStoppedError, IllegalOperation, OSError, UnicodeError)
"""What aiokafka raises; time-outs are an OSError, a host that no name can have a UnicodeError."""

LARGEST_EVENT_BYTES = 1_000_000
"""Below what a topic takes unless told otherwise (`max.message.bytes`, 1,048,588)."""

LARGEST_DEAD_LETTER_BYTES = 4 * 1024 * 1024
"""A dead letter is a message of any topic, and headers."""


@contextmanager
def broker_errors() -> Iterator[None]:
    """Turn aiokafka's errors into BrokerUnavailable, or Rejected where it is the message."""
    try:
        yield
    except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
        raise Rejected(_told(error)) from error
    except FOREIGN as error:
        raise BrokerUnavailable(_told(error)) from error


def record_of(taken: Any) -> Record:
    """Read what a consumer was given; a value or a header that is nothing becomes empty."""
    return Record(
        topic=taken.topic,
        partition=taken.partition,
        offset=taken.offset,
        key=taken.key,
        value=taken.value or b"",
        headers=tuple((name, value or b"") for name, value in taken.headers),
        timestamp_ms=taken.timestamp,
    )


def _told(error: BaseException) -> str:
    return f"the broker: {str(error).partition(chr(10))[0] or type(error).__name__}"
