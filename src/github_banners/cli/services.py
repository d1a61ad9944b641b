"""The commands that serve: all in one, or one service of several; and what prepares for them."""

import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from github_banners.cli.base import (
    app,
    default_banners_dir,
    default_data_dir,
    import_sandbox,
    read_settings,
    require_unix,
    run_service,
    running_service,
    with_listen_address,
)
from github_banners.cli.welcome import welcome
from github_banners.errors import (
    BrokerUnavailable,
    DatabaseUnavailable,
    InvalidSettings,
    Misconfigured,
)
from github_banners.settings import MAX_PORT, Service, Settings
from github_banners.settings.addresses import to_netloc


@app.command(short_help="Serve banners, everything in one.")
def serve(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Ask a built-in GitHub with invented users instead.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, max=64, metavar="NUMBER", help="How many processes answer.")
    ] = 1,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on, in place of HOST.")
    ] = None,
    port: Annotated[
        str | None, typer.Option(metavar="PORT", help="Port to listen on, in place of PORT.")
    ] = None,
) -> None:
    """
    Serve banners, everything in one: says where they are, and goes on until Ctrl-C.

    Unless DB_HOST is set it brings a PostgreSQL of its own, whose files lie in DATA_DIR.
    """
    require_unix()
    from github_banners.launch import Plan

    for name, text in (("HOST", host), ("PORT", port)):
        if text is not None:
            os.environ[name] = text  # the workers read it too
    settings = with_listen_address(read_settings())
    with running_service(), _claimed_ports(settings, workers=workers) as (listener, metrics):
        data_dir = settings.data_dir or default_data_dir()
        with _conninfo(settings, data_dir, demo=demo) as conninfo:
            banners_dir = str(default_banners_dir(data_dir, demo=demo))
            plan = Plan(conninfo, banners_dir)
            run_service(_serve(settings, plan, listener, metrics, demo=demo, workers=workers))


@contextmanager
def _claimed_ports(
    settings: Settings, *, workers: int = 1
) -> Iterator[tuple[socket.socket, list[socket.socket]]]:
    """
    Listen on all ports from the start: PORT, and METRICS_PORT and those above it, one for a worker.

    :raises Misconfigured: one is taken, not ours to take, or beyond 65535
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
    Return the ports for metrics, one for each worker; none if they are not apart.

    :raises InvalidSettings: PORT is among them, or there are not so many
    """
    first = settings.metrics_port
    if first is None:
        return range(0)
    ports = range(first, first + workers)
    if settings.port in ports:
        raise InvalidSettings(
            [
                f"METRICS_PORT must leave PORT, {settings.port}, out of the ports of {workers} workers"
            ]
        )
    if ports[-1] > MAX_PORT:
        raise InvalidSettings([f"METRICS_PORT must leave room for the ports of {workers} workers"])
    return ports


async def _serve(
    settings: Settings,
    plan: Any,
    listener: socket.socket,
    metrics: Sequence[socket.socket],
    *,
    demo: bool,
    workers: int,
) -> None:
    from github_banners.launch import launched
    from github_banners.serving.server import port_number, wait_for_shutdown

    github = import_sandbox().create_app() if demo else None
    samples = import_sandbox().SAMPLE_USERS if demo else ()
    port = port_number(listener)
    async with launched(
        settings, plan, listener, metrics=metrics, workers=workers, github=github
    ) as owned:
        typer.echo(welcome(settings, port=port, samples=samples))
        await wait_for_shutdown(*owned)
        typer.echo("Stopping.", err=True)


@app.command(short_help="Serve banners; others draw and keep them.")
def api() -> None:
    """
    Be the api of several services: answers requests, asks GitHub, hands on what is new.

    Needs DB_HOST, KAFKA_BROKERS_ADDRS, RENDERER_BASE_URL and STORAGE_BASE_URL, and starts while
    they are away. Goes on until Ctrl-C.
    """
    require_unix()
    from github_banners.app.distributed import open_distributed_api

    _serve_alone(Service.API, open_distributed_api)


@app.command(short_help="Draw what is new, and have it stored.")
def renderer() -> None:
    """
    Be the renderer of several services: draws for the api, and what comes through Kafka.

    Needs KAFKA_BROKERS_ADDRS and STORAGE_BASE_URL, and starts while they are away. Goes on until
    Ctrl-C.
    """
    require_unix()
    from github_banners.renderer.app import open_renderer

    _serve_alone(Service.RENDERER, open_renderer)


@app.command(short_help="Keep drawn banners.")
def storage() -> None:
    """
    Be the storage of several services: keeps drawn banners, the newest version of each.

    They lie where BANNERS_STORAGE_URL says, else in DATA_DIR. Goes on until Ctrl-C.
    """
    require_unix()
    from github_banners.storage.app import open_storage

    def opened(settings: Settings) -> Any:
        folder = default_banners_dir(settings.data_dir or default_data_dir())
        return open_storage(settings, default_url=folder.as_uri())

    _serve_alone(Service.STORAGE, opened)


def _serve_alone(service: Service, open_it: Callable[[Settings], Any]) -> None:
    from github_banners.launch import run_alone
    from github_banners.serving.server import port_number

    settings = with_listen_address(read_settings(service=service))
    with running_service(), _claimed_ports(settings) as (listener, metrics):

        def on_ready() -> None:
            address = to_netloc(settings.host, port_number(listener))
            typer.echo(f"The {service} listens on http://{address}")

        opened = open_it(settings)
        run_service(
            run_alone(opened, listener, metrics=next(iter(metrics), None), on_ready=on_ready)
        )


@app.command(hidden=True)
def worker() -> None:
    """Be one process of `serve --workers`; the plan comes on standard input, whose end is ours."""
    from github_banners.launch import Plan, work

    settings = read_settings(is_worker=True)
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    with running_service():
        run_service(work(settings, plan))


@app.command(short_help="Make tables and topics, or bring them up to date.")
def migrate() -> None:
    """
    Bring the database of DB_HOST to the tables of this version, and make the topics in Kafka.

    What is not set is left alone. `serve` and `api` see to the tables by themselves when they
    start; this is for whoever wants it done before, and for KAFKA_BROKERS_ADDRS.
    """
    # Where services can be reached, it is the first to run, and refuses for all of them.
    settings = read_settings(service=Service.MIGRATE)
    if settings.conninfo is None and not settings.kafka_brokers_addrs:
        raise Misconfigured(
            "Set DB_HOST or KAFKA_BROKERS_ADDRS: `serve` migrates its own database by itself."
        )
    if settings.conninfo is not None:
        _migrate_database(settings, settings.conninfo)
        typer.echo("The database is up to date.")
    if settings.kafka_brokers_addrs:
        made = _make_topics(settings.kafka_brokers_addrs)
        typer.echo(f"Topics made: {', '.join(made)}." if made else "The topics are there.")


def _migrate_database(settings: Settings, conninfo: str) -> None:
    from github_banners.database.migrations import migrate as bring_up_to_date
    from github_banners.serving.event_loop import run

    try:
        run(bring_up_to_date(conninfo))
    except DatabaseUnavailable as error:
        raise Misconfigured(
            f"PostgreSQL at {settings.database_address} can't be asked: {error}"
        ) from error


def _make_topics(brokers: Sequence[str]) -> list[str]:
    from github_banners.messages.topics import ensure_topics
    from github_banners.serving.event_loop import run

    try:
        return run(ensure_topics(brokers))
    except BrokerUnavailable as error:
        raise Misconfigured(f"Kafka at {', '.join(brokers)} can't be asked: {error}") from error


@contextmanager
def _conninfo(settings: Settings, data_dir: Path, *, demo: bool) -> Iterator[str]:
    """Find the configured database, or run one of our own in DATA_DIR."""
    if settings.conninfo is not None:
        yield settings.conninfo
        return
    from github_banners.database.embedded import running

    folder = data_dir / ("demo" if demo else "postgresql")
    with running(folder, report=lambda text: typer.echo(text, err=True)) as conninfo:
        yield conninfo
