"""A second broker that joins Apache Kafka, and partitions that move between the two."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]

from tests.acceptance.fault_checks import wait_until
from tests.integration.kafka_server import Broker
from tests.resources import KAFKA_LOCAL

FIRST, SECOND = 1, 2
_TOOL_SECONDS = 120


class SecondBroker(Broker):
    """A broker without a controller, whose data is in `folder`."""

    def __init__(self, folder: Path, first: Broker) -> None:
        super().__init__(folder)
        self._first = first

    def start(self) -> None:
        state = json.loads((self._first.folder / "state.json").read_text())
        address = self.addresses[0]
        settings = {
            "process.roles": "broker",
            "node.id": str(SECOND),
            "listeners": f"PLAINTEXT://{address}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.bootstrap.servers": self._first.controller,
        }
        # The script formats only brokers that are controllers too.
        self.folder.mkdir()
        file = self.folder / "format.properties"
        lines = [f"{key}={value}" for key, value in settings.items()]
        file.write_text("\n".join([*lines, f"log.dirs={self.folder / 'data'}"]))
        _run_java(
            "kraft", "kafka.tools.StorageTool", "format", "-t", state["cluster_id"], "-c", str(file)
        )
        options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        self._run("start", "--port", address.rpartition(":")[2], *options)


@contextmanager
def second_broker(first: Broker) -> Iterator[SecondBroker]:
    """Run a second broker of the cluster of `first`."""
    broker = SecondBroker(first.folder.with_name("second"), first)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def move_partitions(broker: Broker, *, topics: Sequence[str], node: int) -> None:
    """Move all partitions of topics to the broker `node`, and wait until it leads them."""
    leaders = asyncio.run(_find_leaders(broker.addresses, topics))
    moves = [
        {"topic": topic, "partition": partition, "replicas": [node]} for topic, partition in leaders
    ]
    file = broker.folder / "reassignment.json"
    file.write_text(json.dumps({"version": 1, "partitions": moves}))
    tool = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
    address = ("--bootstrap-server", broker.addresses[0])
    _run_java("tools", tool, *address, "--reassignment-json-file", str(file), "--execute")

    def is_moved() -> bool:
        leaders = asyncio.run(_find_leaders(broker.addresses, topics))
        return len(leaders) == len(moves) and set(leaders.values()) == {node}

    wait_until(is_moved, limit=_TOOL_SECONDS)


async def _find_leaders(
    addresses: Sequence[str], topics: Sequence[str]
) -> dict[tuple[str, int], int]:
    """Return the leader of each partition: (topic, partition) -> id of the broker."""
    admin = AIOKafkaAdminClient(bootstrap_servers=addresses)
    await admin.start()
    try:
        described = await admin.describe_topics(topics)
    finally:
        await admin.close()
    return {
        (topic["topic"], partition["partition"]): partition["leader"]
        for topic in described
        for partition in topic["partitions"]
    }


def _run_java(jars: str, *command: str) -> str:
    fetched = subprocess.run(
        [sys.executable, str(KAFKA_LOCAL), "fetch", jars],
        capture_output=True,
        text=True,
        check=True,
        timeout=_TOOL_SECONDS,
    )
    finished = subprocess.run(
        ["java", "-cp", f"{fetched.stdout.strip()}/*", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TOOL_SECONDS,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout
