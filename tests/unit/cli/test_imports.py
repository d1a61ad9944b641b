"""What a command imports: time for `--help`, memory in every service."""

import subprocess
import sys

from typer.main import get_command

from github_banners.cli import app
from github_banners.cli.base import _WITHOUT_OPTIONS


def imported_modules(*arguments: str) -> set[str]:
    """Run a command in a fresh interpreter; return all that it imports, and what it tries to."""
    command = [sys.executable, "-X", "importtime", "-m", "github_banners", *arguments]
    ended = subprocess.run(command, env={}, capture_output=True, text=True, timeout=30, check=False)
    lines = [line for line in ended.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def test_help_imports_nothing_that_only_services_need() -> None:
    imported = imported_modules("--help")
    assert {"github_banners", "typer"} <= imported
    services_only = {
        "aiokafka",
        "asyncio",
        "babel",
        "cryptography",
        "httpx2",
        "obstore",
        "prometheus_client",
        "psycopg",
        "pydantic",
        "starlette",
        "structlog",
        "uvicorn",
    }
    assert not imported & services_only


def test_service_with_logs_imports_structlog_without_optional_packages() -> None:
    # It reads its settings and starts its logs before it finds that there is nothing to migrate.
    imported = imported_modules("migrate")
    assert "structlog" in imported
    assert not imported & {"pydantic", "greenlet._greenlet", "pygments", "rich.console"}


def test_commands_without_options_are_all_named() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    without_options = {name for name, command in commands.items() if not command.params}
    assert without_options - {"dlq"} == set(_WITHOUT_OPTIONS)
