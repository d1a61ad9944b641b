"""The three services as processes, with GitHub, PostgreSQL and Kafka; each can be stopped."""

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
from tests.acceptance.breakable_backends import BreakableSandbox, Postgres
from tests.acceptance.processes import Running, environment, free_port, run, running
from tests.integration.kafka_server import Broker, start_kafka

KEY = "a key for tests only"
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Deployment:
    """
    The services and their backends.

    A service keeps its port across restarts; `renderer-2` is a second renderer.
    """

    folder: Path
    github: BreakableSandbox
    postgres: Postgres
    broker: Broker
    settings: Mapping[str, str] = field(default_factory=dict)
    _running: dict[str, tuple[Running, AbstractContextManager[Running]]] = field(
        default_factory=dict
    )
    _ports: dict[str, int] = field(default_factory=dict)
    _earlier_lines: dict[str, list[str]] = field(default_factory=dict)

    @property
    def files(self) -> Path:
        """Return the folder where the storage writes its files."""
        return self.folder / "stored"

    def address(self, name: str) -> str:
        """Return the URL of a service, which may not run yet."""
        port = self._ports.setdefault(name, free_port())
        return f"http://127.0.0.1:{port}"

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a service; only the port differs, as in the Compose file."""
        settings = {
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
        return environment(**{**settings, **self.postgres.settings, **self.settings})

    def start(self, *names: str) -> None:
        """Start services that are not running."""
        for name in names:
            command = name.partition("-")[0]
            context = running(command, env=self.environment(name))
            service = context.__enter__()
            service.url = self.address(name)
            self._running[name] = (service, context)

    def end(self, name: str, number: int = signal.SIGTERM) -> int:
        """Stop a service with a signal, and return its exit code."""
        service, context = self._running.pop(name)
        code = service.stop(number)
        context.__exit__(None, None, None)
        self._earlier_lines.setdefault(name, []).extend(service.errors)
        return code

    def kill(self, name: str) -> None:
        """Stop a service with SIGKILL."""
        self.end(name, signal.SIGKILL)

    @contextmanager
    def without(self, name: str, number: int = signal.SIGKILL) -> Iterator[None]:
        """Stop a service, and start it again at the end."""
        self.end(name, number)
        try:
            yield
        finally:
            self.start(name)

    def close(self) -> None:
        """Stop all running services."""
        for name in list(self._running):
            self.end(name)

    def __getitem__(self, name: str) -> Running:
        return self._running[name][0]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log events of a service, including those before its last start."""
        current = self._running[name][0].errors if name in self._running else []
        lines = [*self._earlier_lines.get(name, ()), *current]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def metric(self, name: str, series: str) -> float:
        """Return a value from a running service's /metrics, 0 if it is not there."""
        text = self[name].get("/metrics").text
        match = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
        return float(match[1]) if match else 0.0

    def cpu_seconds(self, name: str) -> float:
        """Return the CPU time that a service has used so far."""
        return cpu_seconds(self[name].process.pid)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used so far."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / _CLOCK_TICKS


@contextmanager
def open_deployment(folder: Path, **settings: str) -> Iterator[Deployment]:
    """Start GitHub, PostgreSQL and a broker; the test starts the services."""
    with ExitStack() as stack:
        broker = stack.enter_context(start_kafka(folder / "kafka"))
        if not isinstance(broker, Broker):
            pytest.skip("Java and Kafka's jars are missing, and librdkafka's mock can't be killed")
        github, postgres = BreakableSandbox(), Postgres(folder)
        for backend in (github, postgres):
            stack.callback(backend.close)
            backend.start()
        deployment = Deployment(folder, github, postgres, broker, settings)
        stack.callback(deployment.close)
        migrated = run("migrate", env=deployment.environment("api"))
        assert migrated.returncode == 0, migrated.stderr
        yield deployment


@contextmanager
def open_without_backends(folder: Path) -> Iterator[Deployment]:
    """Yield a deployment whose GitHub, PostgreSQL and broker refuse connections."""
    deployment = Deployment(folder, BreakableSandbox(), Postgres(folder), Broker(folder / "kafka"))
    try:
        yield deployment
    finally:
        deployment.close()


def count_messages(deployment: Deployment, topic: str) -> int:
    """Return the number of messages in a topic."""
    return asyncio.run(_count_messages(deployment.broker.addresses, topic))


async def _count_messages(brokers: list[str], topic: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        return sum((await consumer.end_offsets(partitions)).values())
    finally:
        await consumer.stop()


def send(deployment: Deployment, event: BannerEvent) -> None:
    """Publish an event to the update topic."""

    async def publish() -> None:
        producer = KafkaProducer(deployment.broker.addresses)
        try:
            await producer.send(TOPIC, key=event.key, value=event.to_json())
        finally:
            await producer.close()

    asyncio.run(publish())
