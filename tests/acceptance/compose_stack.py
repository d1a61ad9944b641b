"""Run docker-compose.yaml in real containers, from a copy of this checkout."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.processes import free_port

CHECKOUT = Path(__file__).parents[2]
PROJECT = "banners-compose-test"
_MINUTES = 60.0


@dataclass(frozen=True, slots=True)
class ComposeStack:
    """The running containers; `url` is the address of the gateway."""

    folder: Path
    url: str

    def compose(self, *arguments: str, minutes: float = 5) -> str:
        """Run `docker compose` in the folder of the project, and return its output."""
        return _run(
            ["docker", "compose", "-p", PROJECT, *arguments], folder=self.folder, minutes=minutes
        )

    def up(self, *options: str) -> None:
        """Start all services, and wait until they are healthy."""
        self.compose("up", "--detach", "--wait", "--quiet-pull", *options, minutes=15)

    def containers(self, service: str) -> list[str]:
        """Return the ids of a service's containers, including stopped ones."""
        return self.compose("ps", "--all", "--quiet", service).split()

    def inspect(self, container: str) -> dict[str, Any]:
        """Return what `docker inspect` says about a container."""
        containers: list[dict[str, Any]] = json.loads(_run(["docker", "inspect", container]))
        return containers[0]

    def is_healthy(self, service: str) -> bool:
        """Return whether all containers of a service run and are healthy."""
        states = [self.inspect(container)["State"] for container in self.containers(service)]
        return bool(states) and all(
            state["Running"] and not state["Paused"] and state["Health"]["Status"] == "healthy"
            for state in states
        )

    def starts(self, service: str) -> list[str]:
        """Return when the containers of a service were last started."""
        return [
            self.inspect(container)["State"]["StartedAt"] for container in self.containers(service)
        ]

    def kill(self, service: str) -> None:
        """Send SIGKILL to the main process of a service's first container."""
        os.kill(self.inspect(self.containers(service)[0])["State"]["Pid"], signal.SIGKILL)

    @contextmanager
    def paused(self, service: str) -> Iterator[None]:
        """Pause a service's first container."""
        container = self.containers(service)[0]
        _run(["docker", "pause", container])
        try:
            yield
        finally:
            _run(["docker", "unpause", container])

    def sql(self, query: str) -> list[list[str]]:
        """Run a query in PostgreSQL, and return the rows as strings."""
        command = f'psql -At -F "|" -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "{query}"'
        output = self.compose("exec", "-T", "api-psgr", "sh", "-c", command)
        return [line.split("|") for line in output.splitlines()]

    def run_documented(self, title: str, *, block: int = 1) -> None:
        """Run the `docker compose` commands of a code block below a heading of operations.md."""
        text = (CHECKOUT / "docs/operations.md").read_text()
        section = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        for line in section.split("```")[2 * block - 1].splitlines():
            words = shlex.split(line, comments=True)
            if words[:2] == ["docker", "compose"]:
                self.compose(*words[2:], minutes=15)

    def events(self, service: str) -> dict[str, list[dict[str, Any]]]:
        """Return the log events of each container of a service."""
        events: dict[str, list[dict[str, Any]]] = {}
        for container in self.containers(service):
            logs = subprocess.run(
                ["docker", "logs", container], capture_output=True, text=True, check=True
            )
            events[container] = [
                json.loads(line) for line in logs.stderr.splitlines() if line.startswith("{")
            ]
        return events


@contextmanager
def open_compose_stack(folder: Path, *, commit: str | None = None) -> Iterator[ComposeStack]:
    """
    Copy this checkout or an older commit to a folder, and stop its containers at the end.

    The copy has new secrets, and uses the sandbox as GitHub. The test starts the containers.
    """
    require_docker()
    _tag_local_images()
    if commit is None:
        copy_checkout(folder)
    else:
        export_commit(commit, folder)
    _run(["make", "--silent", "secrets"], folder=folder)
    port = free_port()
    with (folder / ".env").open("a") as settings:
        settings.write(f"\nGATEWAY_PORT=127.0.0.1:{port}\n")
        settings.write("COMPOSE_PROFILES=demo\n")
        # Other networks than those of a stack that may already run here.
        settings.write("FRONT_SUBNET=172.31.241.0/24\nFRONT_RANGE=172.31.241.128/25\n")
        settings.write("GATEWAY_ADDRESS=172.31.241.2\n")
    with (folder / "api/.env").open("a") as settings:
        settings.write("\nGITHUB_TOKENS=ghp_sandbox\nRATE_LIMIT_RPS=1000\n")
        settings.write("GITHUB_API_URL=http://sandbox:8090\n")
    stack = ComposeStack(folder, f"http://127.0.0.1:{port}")
    try:
        yield stack
    except BaseException:
        print(stack.compose("logs", "--no-color", "--tail", "20"))  # noqa: T201
        raise
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")


def copy_checkout(folder: Path) -> None:
    """Copy all files of this checkout that git does not ignore."""
    shutil.rmtree(folder / "src", ignore_errors=True)
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in _run(command, folder=CHECKOUT).splitlines():
        source, target = CHECKOUT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def export_commit(commit: str, folder: Path) -> None:
    """Extract the files of an older commit; skip the test in a clone without history."""
    archive = subprocess.run(
        ["git", "archive", commit], cwd=CHECKOUT, capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip(f"commit {commit} is not in this clone")
    shutil.rmtree(folder / "src", ignore_errors=True)
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")


def require_docker() -> None:
    """Skip the test if there is no Docker engine."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    info = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    if info.returncode:
        pytest.skip(f"no Docker engine: {info.stderr.strip()[-200:]}")


def _tag_local_images() -> None:
    """Use local images without the name of the distribution in their tag, if only those exist."""
    for name in ("python:3.13-slim", "nginx:stable", "postgres:15"):
        named = f"{name}-bookworm"
        if not _has_image(named) and _has_image(name):
            _run(["docker", "tag", name, named])


def _has_image(name: str) -> bool:
    command = ["docker", "image", "inspect", name]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(command: Sequence[str], *, folder: Path | None = None, minutes: float = 5) -> str:
    completed = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=minutes * _MINUTES
    )
    assert completed.returncode == 0, f"{' '.join(command)}: {completed.stderr[-2000:]}"
    return completed.stdout
