"""Modules that commands import: they cost time for `--help` and memory in services."""

import subprocess
import sys


def imported_modules(*arguments: str, **environment: str) -> set[str]:
    """Run a command in a new interpreter; return the modules it imports or tries to."""
    command = [sys.executable, "-X", "importtime", "-m", "github_banners", *arguments]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    lines = [line for line in ended.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def modules_after(program: str) -> set[str]:
    """Run a program in a new interpreter; return the modules that are imported at its end."""
    program += "\nimport sys\nprint(*sys.modules)"
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    return set(output.split())


def test_help_does_not_import_service_dependencies() -> None:
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


def test_services_do_not_import_opentelemetry_while_traces_are_off() -> None:
    modules = modules_after(
        "import github_banners.app.distributed, github_banners.supervisor\n"
        "import github_banners.app.all_in_one, github_banners.renderer.renderer_service\n"
        "from github_banners.serving.telemetry import open_tracing\n"
        "from github_banners.settings import ServiceName, Settings\n"
        "with open_tracing(Settings(), service=ServiceName.API):\n"
        "    pass"
    )
    packages = {name.partition(".")[0] for name in modules}
    assert "httpx2" in packages
    assert not packages & {"opentelemetry", "requests", "google", "urllib3"}


def test_commands_import_the_server_without_uvicorns_own_command() -> None:
    modules = modules_after(
        "import contextlib, sys\n"
        "from github_banners.cli import main\n"
        "sys.argv = ['github-banners', '--version']\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main()\n"
        "import github_banners.serving.server"
    )
    assert "uvicorn.server" in modules
    assert not modules & {"click", "uvicorn.supervisors"}


def test_migrate_imports_structlog_without_optional_packages() -> None:
    # It reads settings and configures logs before it fails, since there is nothing to migrate.
    imported = imported_modules("migrate")
    assert "structlog" in imported
    assert not imported & {"pydantic", "greenlet._greenlet", "pygments", "rich.console"}


def test_services_with_a_port_do_not_import_pydantic() -> None:
    for command in ("api", "renderer", "storage"):
        # Ended by the invalid level, after the settings are read.
        imported = imported_modules(command, "--host", "127.0.0.1", "--port", "0", LOG_LEVEL="none")
        assert "github_banners.settings" in imported
        assert "pydantic" not in imported
