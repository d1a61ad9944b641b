"""
The topics themselves: made once, by `migrate`; the broker makes none by itself.

Changes nothing about a topic that is there.
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
    Make the topics that are missing; returns their names.

    :raises BrokerUnavailable: no broker answers, or it refuses
    """
    wanted = [_to_new_topic(name) for name in topics]
    with broker_errors():
        async with _open_admin(brokers) as admin:
            try:
                answer = await admin.create_topics(wanted)
            except AttributeError as error:
                # aiokafka asks the controller, also where the brokers have none yet.
                raise BrokerUnavailable("the broker: has no controller yet") from error
    outcomes = {name: for_code(code) for name, code, *_ in answer.topic_errors}
    for name, outcome in outcomes.items():
        if outcome not in {NoError, TopicAlreadyExistsError}:
            raise BrokerUnavailable(f"the broker: does not make {name}: {outcome.__name__}")
    return [name for name, outcome in outcomes.items() if outcome is NoError]


async def fetch_partitions(brokers: Sequence[str], topic: str) -> list[int]:
    """
    Name the partitions of a topic.

    :raises BrokerUnavailable: no broker answers, or there is no such topic
    """
    with broker_errors():
        async with _open_admin(brokers) as admin:
            (found,) = await admin.describe_topics([topic])
    if found["error_code"]:
        raise BrokerUnavailable(f"the broker: has no topic {topic}; `migrate` makes it")
    return sorted(partition["partition"] for partition in found["partitions"])


@asynccontextmanager
async def _open_admin(brokers: Sequence[str]) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open a client that asks about topics and groups."""
    admin = AIOKafkaAdminClient(
        bootstrap_servers=list(brokers), request_timeout_ms=_REQUEST_TIMEOUT_MS
    )
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def _to_new_topic(name: str) -> NewTopic:
    """
    Describe a topic; a dead letter is longer than what it is about.

    The broker unpacks what a client has compressed, and so refuses what is too large unpacked. Our
    own producer compresses nothing.
    """
    options = {"compression.type": "uncompressed"}
    if name == DEAD_LETTERS:
        options["max.message.bytes"] = str(MAX_DEAD_LETTER_BYTES)
    # Without the empty assignments aiokafka refuses to leave the replicas to the broker.
    return NewTopic(name, PARTITIONS, _BROKER_DEFAULT, {}, topic_configs=options)
