"""
A Kafka broker for tests: Apache Kafka in a process of its own, or librdkafka's mock broker.

The mock is used where Apache Kafka can't run. It lives in this process, creates topics automatically,
and supports neither several members in a group nor a restart.
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

from tests.acceptance.processes import free_port
from tests.integration.local_script import run_script
from tests.resources import KAFKA_LOCAL, explain_missing

# KAFKA=zookeeper tests with the last version of Kafka that supports ZooKeeper.
_OPTIONS = ["--zookeeper"] if os.environ.get("KAFKA") == "zookeeper" else []
_START_SECONDS = 300  # the first start downloads Kafka


class Broker:
    """Apache Kafka on a free port; `folder` contains its data, also while it is down."""

    is_real = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.addresses = [f"127.0.0.1:{free_port()}"]
        self.controller = f"127.0.0.1:{free_port()}"

    def start(self) -> None:
        # Tests may use a consumer session that is shorter than Kafka's minimum of 6 s.
        settings = ["auto.create.topics.enable=false", "group.min.session.timeout.ms=1000"]
        if not _OPTIONS:
            # By default the script takes a port that a connection could have at a restart.
            settings += [
                f"listeners=PLAINTEXT://{self.addresses[0]},CONTROLLER://{self.controller}",
                f"controller.quorum.bootstrap.servers={self.controller}",
            ]
        options = [option for setting in settings for option in ("--set", setting)]
        port = self.addresses[0].rpartition(":")[2]
        self._run("start", "--port", port, *_OPTIONS, *options)

    def kill(self) -> None:
        """Kill the broker, like a power failure."""
        self._run("kill")

    def restart(self) -> None:
        """Start again on the same port, or for the first time after a `kill`."""
        self._run("restart")

    def stop(self) -> None:
        self.resume()
        self._run("stop")

    def pause(self) -> None:
        """Make it hang: its sockets are open, and it does not respond."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGCONT)

    @property
    def pid(self) -> int:
        """The id of the process; 0 while there is none."""
        pid_file = self.folder / "broker.pid"
        return int(pid_file.read_text()) if pid_file.exists() else 0

    def _run(self, command: str, *options: str) -> str:
        return run_script(KAFKA_LOCAL, command, self.folder, *options)


class MockBroker:
    """librdkafka's mock broker."""

    is_real = False

    def __init__(self) -> None:
        from confluent_kafka import Producer  # noqa: PLC0415 - only where Java is missing

        # The mock broker lives as long as this client.
        self._client = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "x"})
        brokers = self._client.list_topics(timeout=5).brokers.values()
        self.addresses = [f"{broker.host}:{broker.port}" for broker in brokers]


@contextmanager
def start_kafka(folder: Path) -> Iterator[Broker | MockBroker]:
    """Start the best broker that this machine can run; skip the test if there is none."""
    reason = _reason_missing()
    if reason and util.find_spec("confluent_kafka") is None:
        pytest.skip(f"no Kafka: {reason}, and confluent_kafka is not installed")
    if reason:
        yield MockBroker()
        return
    broker = Broker(folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def _reason_missing() -> str:
    if not KAFKA_LOCAL.is_file():
        return explain_missing(KAFKA_LOCAL)
    if shutil.which("java") is None:
        return "Java is missing"
    finished = subprocess.run(
        [sys.executable, str(KAFKA_LOCAL), "fetch", "kraft"],
        capture_output=True,
        text=True,
        timeout=_START_SECONDS,
        check=False,
    )
    return finished.stderr.strip()
