"""The commands that serve, as one process or as a single service, and `migrate`."""

import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from github_banners.cli.base import (
    HostOption,
    PortOption,
    TextCommand,
    app,
    default_banners_dir,
    find_data_dir,
    import_sandbox,
    override_listen_address,
    read_settings,
    require_unix,
    service_process,
    with_listen_address,
)
from github_banners.cli.startup_message import build_startup_message
from github_banners.errors import (
    BrokerUnavailable,
    ConfigurationError,
    DatabaseUnavailable,
    InvalidSettings,
)
from github_banners.settings import MAX_PORT, ServiceName, Settings
from github_banners.settings.addresses import to_netloc


@app.command(short_help="Serve banners: all services in one.")
def serve(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Use a built-in fake GitHub with generated users.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, max=64, metavar="NUMBER", help="Number of worker processes.")
    ] = 1,
    host: HostOption = None,
    port: PortOption = None,
) -> None:
    """
    Serve banners with all services in one process, until Ctrl-C.

    Prints the URL when it is ready. Unless DB_HOST is set, it runs an embedded PostgreSQL server
    with its files in DATA_DIR.
    """
    require_unix()
    from github_banners.serving.event_loop import run
    from github_banners.supervisor import WorkerConfig

    override_listen_address(host, port)
    secret_files: dict[str, str] = {}
    settings = with_listen_address(read_settings(secret_files=secret_files))
    with service_process(), _open_listeners(settings, workers=workers) as (listener, metrics):
        data_dir = find_data_dir(settings)
        with _conninfo(settings, data_dir, demo=demo) as conninfo:
            banners_dir = str(default_banners_dir(data_dir, demo=demo))
            config = WorkerConfig(conninfo, banners_dir, secret_files=secret_files)
            run(_serve(settings, config, listener, metrics, demo=demo, workers=workers))


@contextmanager
def _open_listeners(
    settings: Settings, *, workers: int = 1
) -> Iterator[tuple[socket.socket, list[socket.socket]]]:
    """
    Listen on PORT, and for metrics on one port per worker from METRICS_PORT upwards.

    All ports are opened first, so that a conflict is reported before anything else starts.

    :raises ConfigurationError: a port is in use, may not be used, or exceeds 65535
    """
    from github_banners.serving.server import open_listener

    with ExitStack() as stack:
        metrics = [
            stack.enter_context(open_listener(settings.host, port, name="METRICS_PORT"))
            for port in metrics_ports(settings, workers=workers)
        ]
        listener = stack.enter_context(open_listener(settings.host, settings.port))
        yield listener, metrics


def metrics_ports(settings: Settings, *, workers: int) -> range:
    """
    Return the ports for metrics, one for each worker; empty if METRICS_PORT is not set.

    :raises InvalidSettings: PORT is one of them, or the last one exceeds 65535
    """
    first = settings.metrics_port
    if first is None:
        return range(0)
    ports = range(first, first + workers)
    if settings.port in ports:
        raise InvalidSettings(
            [f"METRICS_PORT and the ports of {workers} workers above it must not include PORT"]
        )
    if ports[-1] > MAX_PORT:
        raise InvalidSettings(
            [f"METRICS_PORT is too large: {workers} workers need {workers} ports up to {MAX_PORT}"]
        )
    return ports


async def _serve(
    settings: Settings,
    config: Any,
    listener: socket.socket,
    metrics: Sequence[socket.socket],
    *,
    demo: bool,
    workers: int,
) -> None:
    from github_banners.serving.server import port_number, wait_for_shutdown
    from github_banners.supervisor import serve_all_in_one

    github = None
    shown: dict[str, Any] = {}
    if demo:
        sandbox = import_sandbox()
        github = sandbox.create_app()
        shown = {"example": sandbox.EXAMPLE_LOGIN, "samples": sandbox.SAMPLE_USERS}
    port = port_number(listener)
    async with serve_all_in_one(
        settings, config, listener, metrics_listeners=metrics, workers=workers, github_app=github
    ) as owned:
        typer.echo(build_startup_message(settings, port=port, **shown))
        await wait_for_shutdown(*owned)
        typer.echo("Stopping.", err=True)


@app.command(short_help="Run the api service.", cls=TextCommand)
def api(*, host: HostOption = None, port: PortOption = None) -> None:
    """
    Run the api service: serve banners, fetch from GitHub and publish updates, until Ctrl-C.

    Requires DB_HOST, KAFKA_BROKERS_ADDRS, RENDERER_BASE_URL and STORAGE_BASE_URL. These services
    may be down when it starts.
    """
    require_unix()
    from github_banners.app.distributed import open_distributed_api

    override_listen_address(host, port)
    serve_single(ServiceName.API, open_distributed_api)


@app.command(short_help="Run the renderer service.", cls=TextCommand)
def renderer(*, host: HostOption = None, port: PortOption = None) -> None:
    """
    Run the renderer service: draw previews for the api and updates from Kafka, until Ctrl-C.

    Requires KAFKA_BROKERS_ADDRS and STORAGE_BASE_URL. These services may be down when it starts.
    """
    require_unix()
    from github_banners.renderer.renderer_service import open_renderer

    override_listen_address(host, port)
    serve_single(ServiceName.RENDERER, open_renderer)


def serve_single(service: ServiceName, open_service: Callable[..., Any]) -> None:
    """
    Run a single service until Ctrl-C; print its address when it is ready.

    `open_service` gets the settings, and the instrumentation as `tracing`.
    """
    from github_banners.serving.event_loop import run
    from github_banners.serving.server import port_number
    from github_banners.serving.telemetry import open_tracing
    from github_banners.supervisor import run_single_service

    settings = with_listen_address(read_settings(service=service))
    with (
        service_process(),
        _open_listeners(settings) as (listener, metrics),
        open_tracing(settings, service=service) as tracing,
    ):

        def on_ready() -> None:
            address = to_netloc(settings.host, port_number(listener))
            typer.echo(f"The {service} service listens on http://{address}")

        service_context = open_service(settings, tracing=tracing)
        run(
            run_single_service(
                service_context,
                listener,
                metrics_listener=next(iter(metrics), None),
                on_ready=on_ready,
            )
        )


@app.command(hidden=True)
def worker() -> None:
    """Run a worker process of `serve --workers`; it stops when its standard input ends."""
    from github_banners.serving.event_loop import run
    from github_banners.supervisor import WorkerConfig, run_worker

    config = msgspec.json.decode(sys.stdin.buffer.readline(), type=WorkerConfig)
    settings = read_settings(is_worker=True, secret_files=config.secret_files)
    with service_process():
        run(run_worker(settings, config))


@app.command(short_help="Migrate the database and create Kafka topics.", cls=TextCommand)
def migrate(
    *,
    back_to: Annotated[
        str | None,
        typer.Option(metavar="REVISION", help="Let the version with this revision start again."),
    ] = None,
) -> None:
    """
    Migrate the database of DB_HOST and create the topics on KAFKA_BROKERS_ADDRS.

    Skips whichever is not set. `serve` and `api` migrate the database themselves when they start;
    use this command to do it in advance, and to create the topics. With --back-to it only records
    an earlier revision in the database, before an earlier version of this program is started.
    """
    # It runs before the services, so it validates the secret for all of them.
    settings = read_settings(service=ServiceName.MIGRATE)
    if back_to and settings.conninfo is None:
        raise ConfigurationError("Set DB_HOST: --back-to changes the database only.")
    if settings.conninfo is None and not settings.kafka_brokers_addrs:
        raise ConfigurationError(
            "Set DB_HOST or KAFKA_BROKERS_ADDRS: `serve` migrates its own database by itself."
        )
    if settings.conninfo is not None:
        _migrate_database(settings, settings.conninfo, back_to=back_to)
        typer.echo(
            f"The database is at revision {back_to}." if back_to else "The database is up to date."
        )
    if settings.kafka_brokers_addrs and not back_to:
        created = _create_topics(settings.kafka_brokers_addrs)
        typer.echo(f"Created topics: {', '.join(created)}." if created else "All topics exist.")


def _migrate_database(settings: Settings, conninfo: str, *, back_to: str | None) -> None:
    from github_banners.database import migrations
    from github_banners.serving.event_loop import run

    try:
        run(migrations.go_back(conninfo, back_to) if back_to else migrations.migrate(conninfo))
    except DatabaseUnavailable as error:
        raise ConfigurationError(
            f"PostgreSQL at {settings.database_address} can't be reached: {error}"
        ) from error


def _create_topics(brokers: Sequence[str]) -> list[str]:
    from github_banners.messaging.topics import ensure_topics
    from github_banners.serving.event_loop import run

    try:
        return run(ensure_topics(brokers))
    except BrokerUnavailable as error:
        raise ConfigurationError(
            f"Kafka at {', '.join(brokers)} can't be reached: {error}"
        ) from error


@contextmanager
def _conninfo(settings: Settings, data_dir: Path, *, demo: bool) -> Iterator[str]:
    """Yield the connection string of the configured database, or of an embedded server."""
    if settings.conninfo is not None:
        yield settings.conninfo
        return
    from github_banners.database.embedded import run_embedded_server

    folder = data_dir / ("demo" if demo else "postgresql")
    with run_embedded_server(
        folder, on_progress=lambda text: typer.echo(text, err=True)
    ) as conninfo:
        yield conninfo
