"""The command `dlq`: list and replay dead letters, the updates that could not be processed."""

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from github_banners.cli.base import app, read_settings
from github_banners.errors import BrokerUnavailable, ConfigurationError

if TYPE_CHECKING:
    from github_banners.messaging.dead_letters import DeadLetter

T = TypeVar("T")

_MAX_SHOWN_CHARACTERS = 60

dlq = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""
    List or replay dead letters: banner updates that could not be processed.

    They are in the Kafka topic `banner-update.dlq`. Requires KAFKA_BROKERS_ADDRS.
    """,
)
app.add_typer(dlq, name="dlq", short_help="List or replay dead letters.")


@dlq.command("list", short_help="List dead letters.")
def list_(
    *,
    limit: Annotated[
        int,
        typer.Option(
            min=1, max=100_000, metavar="NUMBER", help="Maximum number; the newest are listed."
        ),
    ] = 100,
) -> None:
    """List the newest dead letters, oldest first, and whether they were replayed."""
    from github_banners.messaging.dead_letters import list_dead_letters

    dead_letters = _with_brokers(lambda brokers: list_dead_letters(brokers, limit=limit))
    for dead_letter in dead_letters:
        typer.echo(_format(dead_letter))
    count = len(dead_letters)
    typer.echo(f"Dead letters: {count}." if count else "No dead letters.", err=True)


@dlq.command(short_help="Replay dead letters.")
def replay(
    *,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="NUMBER", help="Maximum number; the oldest are sent first."),
    ] = None,
) -> None:
    """Send dead letters that were not replayed yet again, with their original bytes."""
    from github_banners.messaging.dead_letters import replay_dead_letters

    replay_result = _with_brokers(lambda brokers: replay_dead_letters(brokers, limit=limit))
    typer.echo(f"Replayed: {replay_result.sent}.")
    if replay_result.refused:
        typer.echo(
            f"Not replayed: {replay_result.refused}, which exceed the broker's message size limit.",
            err=True,
        )


def _with_brokers(operation: Callable[[Sequence[str]], Coroutine[Any, Any, T]]) -> T:
    """Run an operation on the configured brokers."""
    from github_banners.serving.event_loop import run

    brokers = read_settings(errors_only=True).kafka_brokers_addrs
    if not brokers:
        raise ConfigurationError("Set KAFKA_BROKERS_ADDRS to the brokers, as `host:port`.")
    try:
        return run(operation(brokers))
    except BrokerUnavailable as error:
        raise ConfigurationError(
            f"Kafka at {', '.join(brokers)} can't be reached: {error}"
        ) from error


def _format(dead_letter: "DeadLetter") -> str:
    """Format a dead letter as one line; unprintable characters of the message are escaped."""
    value = ascii(dead_letter.record.value[:_MAX_SHOWN_CHARACTERS])[2:-1]
    state = "replayed" if dead_letter.is_replayed else "dead"
    columns = (dead_letter.failed_at, state, dead_letter.origin, dead_letter.reason, value)
    return "  ".join(column if column.isprintable() else ascii(column)[1:-1] for column in columns)
