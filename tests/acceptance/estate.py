"""The three services as processes of their own, with all that they need; each can be taken away."""

import asyncio
import json
import os
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]

from github_banners.messaging.events import PARTITIONS, TOPIC
from github_banners.messaging.producer import KafkaProducer
from github_banners.messaging.schemas import BannerEvent
from tests.acceptance.outages import GitHub, Postgres
from tests.acceptance.processes import Running, environment, free_port, run, running
from tests.integration.kafka_server import Broker, a_broker

KEY = "a key of the tests alone"
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Estate:
    """
    Who serves, draws, keeps and carries.

    A service has the same port whenever it is started; `renderer-2` is a second one beside the first.
    """

    folder: Path
    github: GitHub
    postgres: Postgres
    broker: Broker
    settings: Mapping[str, str] = field(default_factory=dict)
    _running: dict[str, tuple[Running, AbstractContextManager[Running]]] = field(
        default_factory=dict
    )
    _ports: dict[str, int] = field(default_factory=dict)
    _told: dict[str, list[str]] = field(default_factory=dict)

    @property
    def files(self) -> Path:
        """Where the storage keeps its files."""
        return self.folder / "kept"

    def address(self, name: str) -> str:
        """Where a service listens, now or later."""
        port = self._ports.setdefault(name, free_port())
        return f"http://127.0.0.1:{port}"

    def environment(self, name: str) -> dict[str, str]:
        """Everything that the services are told; all get the same, as in a Compose file."""
        told = {
            "PORT": self.address(name).rpartition(":")[2],
            "SERVICES_SECRET_KEY": KEY,
            "KAFKA_BROKERS_ADDRS": ",".join(self.broker.addresses),
            "RENDERER_BASE_URL": self.address("renderer"),
            "STORAGE_BASE_URL": self.address("storage"),
            "BANNERS_STORAGE_URL": self.files.as_uri(),
            "DATA_DIR": str(self.folder / "data"),
            "GITHUB_API_URL": self.github.url,
            "GITHUB_TOKENS": "ghp_sandbox",
            "RATE_LIMIT_RPS": "1000",
            "LOG_FORMAT": "json",
        }
        return environment(**{**told, **self.postgres.settings, **self.settings})

    def start(self, *names: str) -> None:
        """Start services that do not run."""
        for name in names:
            command = name.partition("-")[0]
            opened = running(command, env=self.environment(name))
            served = opened.__enter__()
            served.url = self.address(name)
            self._running[name] = (served, opened)

    def end(self, name: str, number: int = signal.SIGTERM) -> int:
        """End a service with a signal; gives its exit code."""
        served, opened = self._running.pop(name)
        code = served.stop(number)
        opened.__exit__(None, None, None)
        self._told.setdefault(name, []).extend(served.errors)
        return code

    def kill(self, name: str) -> None:
        """Take a service away without a word."""
        self.end(name, signal.SIGKILL)

    @contextmanager
    def without(self, name: str, number: int = signal.SIGKILL) -> Iterator[None]:
        """Do without a service for a while."""
        self.end(name, number)
        try:
            yield
        finally:
            self.start(name)

    def close(self) -> None:
        """End whatever runs."""
        for name in list(self._running):
            self.end(name)

    def __getitem__(self, name: str) -> Running:
        return self._running[name][0]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Everything that a service has logged, before and after it was last started."""
        now = self._running[name][0].errors if name in self._running else []
        lines = [*self._told.get(name, ()), *now]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def metric(self, name: str, series: str) -> float:
        """Read one number that a running service tells Prometheus."""
        told = self[name].get("/metrics").text
        found = re.search(rf"^{re.escape(series)} (\S+)$", told, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def cpu_seconds(self, name: str) -> float:
        """How long a service has computed so far."""
        return cpu_seconds(self[name].process.pid)


def cpu_seconds(pid: int) -> float:
    """How long a process has computed so far."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / _CLOCK_TICKS


@contextmanager
def estate_at(folder: Path, *, migrate: bool = True, **settings: str) -> Iterator[Estate]:
    """Put GitHub, PostgreSQL and a broker there; the services are the test's to start."""
    with ExitStack() as stack:
        broker = stack.enter_context(a_broker(folder / "kafka"))
        if not isinstance(broker, Broker):
            pytest.skip("Java and Kafka's jars are missing, and librdkafka's mock can't be killed")
        github, postgres = GitHub(), Postgres(folder)
        for one in (github, postgres):
            stack.callback(one.close)
            one.start()
        estate = Estate(folder, github, postgres, broker, settings)
        stack.callback(estate.close)
        if migrate:
            migrated = run("migrate", env=estate.environment("api"))
            assert migrated.returncode == 0, migrated.stderr
        yield estate


def messages_in(estate: Estate, topic: str) -> int:
    """How many messages a topic holds."""
    return asyncio.run(_messages_in(estate.broker.addresses, topic))


async def _messages_in(brokers: list[str], topic: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        return sum((await consumer.end_offsets(places)).values())
    finally:
        await consumer.stop()


def send(estate: Estate, event: BannerEvent) -> None:
    """Put an event into the topic, as any program may that reaches the broker."""

    async def sending() -> None:
        producer = KafkaProducer(estate.broker.addresses)
        try:
            await producer.send(TOPIC, key=event.key, value=event.to_json())
        finally:
            await producer.close()

    asyncio.run(sending())
