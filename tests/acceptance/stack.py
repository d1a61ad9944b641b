"""docker-compose.yaml as a new user has it: the files of this checkout, a fresh folder, real containers."""

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
class Stack:
    """What runs; `url` is the gateway's."""

    folder: Path
    url: str

    def compose(self, *arguments: str, minutes: float = 5) -> str:
        """Run `docker compose` in the folder of the project; gives what it prints."""
        return _run(
            ["docker", "compose", "-p", PROJECT, *arguments], folder=self.folder, minutes=minutes
        )

    def up(self, *options: str) -> None:
        """Start whatever does not run, and wait until all of it is well."""
        self.compose("up", "--detach", "--wait", "--quiet-pull", *options, minutes=15)

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers, those that have ended included."""
        return self.compose("ps", "--all", "--quiet", service).split()

    def inspect(self, container: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(_run(["docker", "inspect", container]))
        return found[0]

    def is_well(self, service: str) -> bool:
        """Tell whether all containers of a service run and say that they are well."""
        states = [self.inspect(one)["ExplanationKind"] for one in self.containers(service)]
        return bool(states) and all(
            one["Running"] and not one["Paused"] and one["Health"]["Status"] == "healthy"
            for one in states
        )

    def starts(self, service: str) -> list[str]:
        """When the containers of a service were last started."""
        return [
            self.inspect(one)["ExplanationKind"]["StartedAt"] for one in self.containers(service)
        ]

    def kill(self, service: str) -> None:
        """Kill the main process of a service's first container, as the kernel would."""
        os.kill(self.inspect(self.containers(service)[0])["ExplanationKind"]["Pid"], signal.SIGKILL)

    @contextmanager
    def paused(self, service: str) -> Iterator[None]:
        """Freeze a service's first container."""
        container = self.containers(service)[0]
        _run(["docker", "pause", container])
        try:
            yield
        finally:
            _run(["docker", "unpause", container])

    def sql(self, query: str) -> list[list[str]]:
        """Ask PostgreSQL; gives rows of texts."""
        command = f'psql -At -F "|" -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "{query}"'
        told = self.compose("exec", "-T", "api-psgr", "sh", "-c", command)
        return [line.split("|") for line in told.splitlines()]

    def run_documented(self, title: str, *, block: int = 1) -> None:
        """Run the `docker compose` commands of a code block below a heading of operations.md."""
        text = (self.folder / "docs/operations.md").read_text()
        section = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        for line in section.split("```")[2 * block - 1].splitlines():
            words = shlex.split(line, comments=True)
            if words[:2] == ["docker", "compose"]:
                self.compose(*words[2:], minutes=15)

    def events(self, service: str) -> dict[str, list[dict[str, Any]]]:
        """What each container of a service has logged."""
        lines: dict[str, list[dict[str, Any]]] = {}
        for one in self.containers(service):
            done = subprocess.run(
                ["docker", "logs", one], capture_output=True, text=True, check=True
            )
            told = [line for line in done.stderr.splitlines() if line.startswith("{")]
            lines[one] = [json.loads(line) for line in told]
        return lines


@contextmanager
def stack_at(folder: Path, *, commit: str | None = None) -> Iterator[Stack]:
    """
    Put the files there, with secrets of their own and the sandbox in GitHub's place.

    The files are those of this checkout, or those of `commit`.
    """
    require_engine()
    _tag_local_images()
    if commit is None:
        copy_checkout(folder)
    else:
        _export_commit(commit, folder)
    _run(["make", "--silent", "secrets"], folder=folder)
    port = free_port()
    with (folder / ".env").open("a") as settings:
        settings.write(f"\nGATEWAY_PORT=127.0.0.1:{port}\n")
        settings.write("COMPOSE_PROFILES=demo\n")
        # Beside a stack that may run here already.
        settings.write("FRONT_SUBNET=172.31.241.0/24\nFRONT_RANGE=172.31.241.128/25\n")
        settings.write("GATEWAY_ADDRESS=172.31.241.2\n")
    with (folder / "api/.env").open("a") as settings:
        settings.write("\nGITHUB_TOKENS=ghp_sandbox\nRATE_LIMIT_RPS=1000\n")
        settings.write("GITHUB_API_URL=http://sandbox:8090\n")
    stack = Stack(folder, f"http://127.0.0.1:{port}")
    try:
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")


def copy_checkout(folder: Path) -> None:
    """Take what would be committed, as it is now."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in _run(command, folder=CHECKOUT).splitlines():
        source, target = CHECKOUT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _export_commit(commit: str, folder: Path) -> None:
    """Extract the files of an older commit; skip the test in a clone without history."""
    archive = subprocess.run(
        ["git", "archive", commit], cwd=CHECKOUT, capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip(f"commit {commit} is not in this clone")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")


def require_engine() -> None:
    """Skip the test where no Docker engine answers."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    asked = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    if asked.returncode:
        pytest.skip(f"no Docker engine answers: {asked.stderr.strip()[-200:]}")


def _tag_local_images() -> None:
    """Let images of this machine that do not name their system stand for those that do."""
    for name in ("python:3.13-slim", "nginx:stable", "postgres:15"):
        named = f"{name}-bookworm"
        if not _has_image(named) and _has_image(name):
            _run(["docker", "tag", name, named])


def _has_image(name: str) -> bool:
    command = ["docker", "image", "inspect", name]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(command: Sequence[str], *, folder: Path | None = None, minutes: float = 5) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=minutes * _MINUTES
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-2000:]}"
    return done.stdout
