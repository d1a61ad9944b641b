"""
A Kafka for tests: the real one where Java is, started as a process of its own; else librdkafka's.

The stand-in of librdkafka lives in this process, makes topics when they are asked for, and knows
neither two members in a group nor an end.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path

import pytest

from tests.resources import KAFKA_LOCAL, explain_missing

# KAFKA=zookeeper tries the last Kafka that had one.
_OPTIONS = ["--zookeeper"] if os.environ.get("KAFKA") == "zookeeper" else []
_START_SECONDS = 300  # the first start downloads


class Broker:
    """Apache Kafka on a port of its own; `folder` keeps its data while it is down."""

    is_real = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.addresses: list[str] = []

    def start(self) -> None:
        told = self._do("start", *_OPTIONS, "--set", "auto.create.topics.enable=false")
        self.addresses = [told.partition("bootstrap ")[2].split()[0]]

    def kill(self) -> None:
        """As a power cut would."""
        self._do("kill")

    def restart(self) -> None:
        """Start again on the same port, or for the first time after a `kill`."""
        self._do("restart")

    def stop(self) -> None:
        self.resume()
        self._do("stop")

    def pause(self) -> None:
        """Let it hang: its sockets are open, and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGCONT)

    @property
    def pid(self) -> int:
        """Of the process, 0 while there is none."""
        found = self.folder / "broker.pid"
        return int(found.read_text()) if found.exists() else 0

    def _do(self, command: str, *options: str) -> str:
        arguments = [sys.executable, str(KAFKA_LOCAL), command, "--dir", str(self.folder), *options]
        done = subprocess.run(
            arguments, capture_output=True, text=True, timeout=_START_SECONDS, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip() or done.stdout)
        return done.stdout


class StandIn:
    """librdkafka's mock of a broker, for what it can do."""

    is_real = False

    def __init__(self) -> None:
        from confluent_kafka import Producer  # noqa: PLC0415 - only where Java is missing

        # It lives as long as this client.
        self._client = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "x"})
        found = self._client.list_topics(timeout=5).brokers.values()
        self.addresses = [f"{broker.host}:{broker.port}" for broker in found]


@contextmanager
def a_broker(folder: Path) -> Iterator[Broker | StandIn]:
    """Give the best that this machine has; skips the test where it has none."""
    missing = _missing()
    if missing and util.find_spec("confluent_kafka") is None:
        pytest.skip(f"no Kafka: {missing}, and confluent_kafka is not installed")
    if missing:
        yield StandIn()
        return
    broker = Broker(folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def _missing() -> str:
    if not KAFKA_LOCAL.is_file():
        return explain_missing(KAFKA_LOCAL)
    if shutil.which("java") is None:
        return "Java is missing"
    fetched = subprocess.run(
        [sys.executable, str(KAFKA_LOCAL), "fetch", "kraft"],
        capture_output=True,
        text=True,
        timeout=_START_SECONDS,
        check=False,
    )
    return fetched.stderr.strip()
