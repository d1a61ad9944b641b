"""
Create the Kafka topics, as `migrate` does once; the broker does not create them automatically.

Existing topics are not changed.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    NoError,
    TopicAlreadyExistsError,
    for_code,
)

from github_banners.errors import BrokerUnavailable
from github_banners.messaging.events import DEAD_LETTERS, PARTITIONS, TOPIC
from github_banners.messaging.kafka import MAX_DEAD_LETTER_BYTES, broker_errors

_REQUEST_TIMEOUT_MS = 5000
_BROKER_DEFAULT = -1


async def ensure_topics(
    brokers: Sequence[str], *, topics: Sequence[str] = (TOPIC, DEAD_LETTERS)
) -> list[str]:
    """
    Create the topics that are missing, and return their names.

    :raises BrokerUnavailable: no broker responds, or it refuses
    """
    new_topics = [to_new_topic(name) for name in topics]
    with broker_errors():
        async with _open_admin(brokers) as admin:
            try:
                response = await admin.create_topics(new_topics)
            except AttributeError as error:
                # aiokafka sends this to the controller, and fails so if there is none yet.
                raise BrokerUnavailable("the broker: has no controller yet") from error
    errors = {name: for_code(code) for name, code, *_ in response.topic_errors}
    for name, error_class in errors.items():
        if error_class not in {NoError, TopicAlreadyExistsError}:
            raise BrokerUnavailable(f"the broker: can't create {name}: {error_class.__name__}")
    return [name for name, error_class in errors.items() if error_class is NoError]


async def fetch_partitions(brokers: Sequence[str], topic: str) -> list[int]:
    """
    Return the numbers of a topic's partitions.

    :raises BrokerUnavailable: no broker responds, or there is no such topic
    """
    with broker_errors():
        async with _open_admin(brokers) as admin:
            (description,) = await admin.describe_topics([topic])
    if description["error_code"]:
        raise BrokerUnavailable(f"the broker: has no topic {topic}; `migrate` creates it")
    return sorted(partition["partition"] for partition in description["partitions"])


@asynccontextmanager
async def _open_admin(brokers: Sequence[str]) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=list(brokers), request_timeout_ms=_REQUEST_TIMEOUT_MS
    )
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def to_new_topic(name: str) -> NewTopic:
    """
    Describe a topic to create; the limit for dead letters is higher than for events.

    With `compression.type=uncompressed` the broker decompresses what clients send, and refuses what
    is too large decompressed. Our own producer does not compress.
    """
    options = {"compression.type": "uncompressed"}
    if name == DEAD_LETTERS:
        options["max.message.bytes"] = str(MAX_DEAD_LETTER_BYTES)
    # aiokafka requires the empty assignments to leave the replication factor to the broker.
    return NewTopic(name, PARTITIONS, _BROKER_DEFAULT, {}, topic_configs=options)
