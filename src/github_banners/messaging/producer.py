"""
Kafka producer: a message counts as sent once the broker has acknowledged it.

It opens when first used, and recovers by itself: aiokafka's producer keeps undelivered messages for
ever, and stays broken after some errors, so after a failure it is closed and a new one is opened.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

from github_banners.circuit_breaker import CircuitBreaker
from github_banners.errors import BrokerUnavailable, RemoteRejected
from github_banners.messaging.events import DEAD_LETTERS, Headers
from github_banners.messaging.kafka import MAX_DEAD_LETTER_BYTES, MAX_EVENT_BYTES, broker_errors
from github_banners.tasks import cancel_and_wait

_SEND_TIMEOUT_SECONDS = 5.0
_CLOSE_TIMEOUT_SECONDS = 1.0
_OPEN_TIMEOUT_SECONDS = 30.0
# Less than the timeout of a send, so that a connection that hangs is replaced within it.
_REQUEST_TIMEOUT_MS = 3000
_RETRY_BACKOFF_MS = 100
_METADATA_MAX_AGE_MS = 30_000
_BATCH_BYTES = 64 * 1024


class KafkaProducer:
    """
    Sends to one Kafka cluster, from any number of tasks; close it once no task sends any more.

    While no broker responds, calls fail at once, except for one probe a second.
    """

    def __init__(
        self, brokers: Sequence[str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._brokers = list(brokers)
        self._circuit = CircuitBreaker(clock, name="broker")
        self._client_task: asyncio.Task[AIOKafkaProducer] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def is_available(self) -> bool:
        """True if the last message was acknowledged, and before the first."""
        return not self._circuit.is_open

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes, headers: Headers = ()
    ) -> None:
        """
        Send a message; return once the broker has acknowledged it.

        :raises BrokerUnavailable: it was not acknowledged in time, but may have arrived
        :raises RemoteRejected: the broker will never accept this message
        """
        _check_size(topic, key, value)
        if self._circuit.is_open and not self._circuit.allow_probe():
            raise BrokerUnavailable("the broker: does not respond, and is tried once a second")
        try:
            await self._send(topic, key=key, value=value, headers=headers)
        except BrokerUnavailable as error:
            self._circuit.record_failure(str(error))
            raise
        self._circuit.close()

    async def close(self) -> None:
        """Close; takes a few seconds at most, also when no broker responds."""
        if self._client_task is not None:
            self._abandon(self._client_task)
        if self._closing:
            _, late = await asyncio.wait(self._closing, timeout=_CLOSE_TIMEOUT_SECONDS)
            await cancel_and_wait(late)

    async def _send(self, topic: str, *, key: bytes | None, value: bytes, headers: Headers) -> None:
        if self._client_task is None:
            self._client_task = asyncio.create_task(self._open(), name="broker.open")
        client_task = self._client_task
        try:
            with broker_errors():
                async with asyncio.timeout(_SEND_TIMEOUT_SECONDS):
                    producer = (
                        client_task.result()
                        if client_task.done()
                        else await asyncio.shield(client_task)
                    )
                    await producer.send_and_wait(topic, value, key=key, headers=list(headers))
        except (BrokerUnavailable, RemoteRejected):
            # A producer that is still being opened may yet connect, for the next message.
            if client_task.done():
                self._abandon(client_task)
            raise

    async def _open(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._brokers,
            enable_idempotence=True,
            acks="all",
            max_batch_size=_BATCH_BYTES,
            max_request_size=MAX_DEAD_LETTER_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            retry_backoff_ms=_RETRY_BACKOFF_MS,
            metadata_max_age_ms=_METADATA_MAX_AGE_MS,
        )
        try:
            async with asyncio.timeout(_OPEN_TIMEOUT_SECONDS):
                await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    def _abandon(self, client_task: "asyncio.Task[AIOKafkaProducer]") -> None:
        """Close a producer in the background, once; the next message opens another."""
        if self._client_task is not client_task:
            return
        self._client_task = None
        closing = asyncio.create_task(_force_close(client_task), name="broker.leave")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


async def _force_close(client_task: "asyncio.Task[AIOKafkaProducer]") -> None:
    """
    Close like `stop()`, but without waiting until every message is delivered.

    While no broker accepts messages, `stop()` waits for ever; when it is cancelled, it leaves a task
    and sockets behind, and does nothing when it is called again.
    """
    client_task.cancel()
    await asyncio.wait({client_task})
    if client_task.cancelled() or client_task.exception() is not None:
        return
    producer = client_task.result()
    producer._closed = True
    try:
        await producer._sender.close()
    finally:
        await producer.client.close()


def _check_size(topic: str, key: bytes | None, value: bytes) -> None:
    size = len(value) + len(key or b"")
    max_bytes = MAX_DEAD_LETTER_BYTES if topic == DEAD_LETTERS else MAX_EVENT_BYTES
    if size > max_bytes:
        raise RemoteRejected(f"the broker: accepts no message of {size} bytes in {topic}")
