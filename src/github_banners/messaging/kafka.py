"""Convert errors and records of aiokafka to those of this project, for all Kafka clients."""

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
"""What aiokafka raises: a timeout is an OSError, an invalid host name a UnicodeError."""

MAX_EVENT_BYTES = 1_000_000
"""Below the default limit of a topic (`max.message.bytes`, 1,048,588)."""

MAX_DEAD_LETTER_BYTES = 4 * 1024 * 1024
"""A dead letter is a record of any size with additional headers."""


@contextmanager
def broker_errors() -> Iterator[None]:
    """Convert errors of aiokafka: RemoteRejected for a message that is too large, else BrokerUnavailable."""
    try:
        yield
    except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
        raise RemoteRejected(_message(error)) from error
    except DRIVER_ERRORS as error:
        raise BrokerUnavailable(_message(error)) from error


def to_record(message: Any) -> Record:
    """Convert a record of aiokafka; a null value of the record or of a header becomes empty."""
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
