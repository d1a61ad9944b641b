"""
One event per line, on standard error; no secret in any of them.

The text of every line is searched for the configured secrets and for what looks like a GitHub token,
after tracebacks have been written out.
"""

import json
import logging
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from github_banners.serving.terminal import escape_controls
from github_banners.settings import LogFormat, LogLevel, Secret

# Without a word boundary in front: in an escaped text a token can follow a letter, as in `\\nghp_`.
_TOKEN = re.compile(r"gh[pousr]_[A-Za-z0-9_.]{4,}|github_pat_[A-Za-z0-9_]{4,}")
_MASK = "***"
_MIN_SECRET_LENGTH = 4
# Wire-level chatter says nothing that our own events do not. The pool warns of every attempt to
# connect, the retries of every question, Kafka's client of both: an outage is one event of ours.
_LIBRARY_LEVELS = {
    **dict.fromkeys(
        ("alembic", "httpcore2", "httpx2", "httpcore", "httpx", "asyncio"), logging.WARNING
    ),
    **dict.fromkeys(("psycopg", "stamina"), logging.ERROR),
    "aiokafka": logging.CRITICAL,
    # Says once more what `request.failed` and our protocol say.
    "uvicorn": logging.ERROR,
}


def configure_logs(
    *, level: LogLevel, log_format: LogFormat, secrets: Iterable[Secret] = ()
) -> None:
    """Send our own events and those of every library to standard error, one per line."""
    redact = Redactor(secrets)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, _wrap],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _OneLineHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact,
                *_renderers(log_format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(least)


class Redactor:
    """A processor that replaces every secret in an event, however deep; objects become text."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        texts = {secret.reveal() for secret in secrets}
        known = {
            one for text in texts if len(text) >= _MIN_SECRET_LENGTH for one in _encodings(text)
        }
        parts = [re.escape(text) for text in sorted(known, key=len, reverse=True)]
        self._pattern = re.compile("|".join([*parts, _TOKEN.pattern]))

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        """Clean one event."""
        # What begins with an underline is structlog's own, and never written.
        return {
            key: value if key.startswith("_") else self._redact(value)
            for key, value in event.items()
        }

    def redact_text(self, text: object) -> str:
        """Clean a text; an object becomes one."""
        return self._pattern.sub(_MASK, str(text))

    def _redact(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {self.redact_text(key): self._redact(one) for key, one in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._redact(one) for one in value]
        return self.redact_text(value)


class _OneLineHandler(logging.StreamHandler[Any]):
    """Writes one line per event, even for one that can't be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Name the logger only: the arguments, which the default prints, can hold a secret."""
        text = f"log.line_lost from {record.name}"
        lost = logging.LogRecord(record.name, logging.ERROR, "", 0, text, None, None)
        with suppress(OSError, ValueError):
            self.stream.write(self.format(lost) + self.terminator)


def _encodings(secret: str) -> set[str]:
    """Write a secret in the ways that `repr`, JSON and addresses do."""
    return {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe="")}


def _renderers(log_format: LogFormat) -> list[Processor]:
    if log_format is LogFormat.JSON:
        return [structlog.processors.JSONRenderer(), _escape_delete]
    logfmt = structlog.processors.LogfmtRenderer(
        key_order=["timestamp", "level", "event"], drop_missing=True
    )
    return [logfmt, _escape_line]


def _escape_line(logger: WrappedLogger, name: str, line: Any) -> str:
    """Escape what would break a line, or steer a terminal."""
    return escape_controls(line)


def _escape_delete(logger: WrappedLogger, name: str, line: Any) -> str:
    """Escape the one control character that JSON may hold as it is."""
    return str(line).replace("\x7f", "\\u007f")


_wrap: Processor = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
