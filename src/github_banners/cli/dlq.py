"""The command `dlq`: look at messages that were given up, and send them once more."""

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
    Updates of banners that could not be handled, in Kafka's topic `banner-update.dlq`.

    Needs KAFKA_BROKERS_ADDRS.
    """,
)
app.add_typer(dlq, name="dlq", short_help="Show or re-send updates that were given up.")


@dlq.command("list", short_help="Show them.")
def list_(
    *,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="NUMBER", help="How many of the newest.")
    ] = 100,
) -> None:
    """Show the newest updates that were given up, oldest first, and whether they were re-sent."""
    from github_banners.messaging.dead_letters import list_dead_letters

    letters = _with_brokers(lambda brokers: list_dead_letters(brokers, limit=limit))
    for letter in letters:
        typer.echo(_format(letter))
    typer.echo(f"{len(letters)} shown." if letters else "There is none.", err=True)


@dlq.command(short_help="Send them once more.")
def replay(
    *,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="NUMBER", help="How many at most; the oldest first."),
    ] = None,
) -> None:
    """Send once more, with their original bytes, those that were not re-sent yet."""
    from github_banners.messaging.dead_letters import replay_dead_letters

    done = _with_brokers(lambda brokers: replay_dead_letters(brokers, limit=limit))
    typer.echo(f"{done.sent} sent.")
    if done.refused:
        typer.echo(f"{done.refused} are larger than the broker takes, and stay.", err=True)


def _with_brokers(operation: Callable[[Sequence[str]], Coroutine[Any, Any, T]]) -> T:
    from github_banners.serving.event_loop import run

    brokers = read_settings(errors_only=True).kafka_brokers_addrs
    if not brokers:
        raise ConfigurationError("Set KAFKA_BROKERS_ADDRS: the brokers, `host:port`.")
    try:
        return run(operation(brokers))
    except BrokerUnavailable as error:
        raise ConfigurationError(
            f"Kafka at {', '.join(brokers)} can't be asked: {error}"
        ) from error


def _format(letter: "DeadLetter") -> str:
    """Write one down; what a message holds can steer no terminal."""
    value = ascii(letter.record.value[:_MAX_SHOWN_CHARACTERS])[2:-1]
    state = "re-sent" if letter.is_replayed else "given up"
    told = (letter.failed_at, state, letter.origin, letter.reason, value)
    return "  ".join(ascii(one)[1:-1] if not one.isprintable() else one for one in told)
