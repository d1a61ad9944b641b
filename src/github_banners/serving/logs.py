"""
Logging: one event per line on standard error, with secrets redacted.

After tracebacks are formatted, every text is searched for the configured secrets and for anything
that looks like a GitHub token.
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

# No word boundary in front: in escaped text a token can follow a letter, as in `\\nghp_`.
_TOKEN = re.compile(r"gh[pousr]_[A-Za-z0-9_.]{4,}|github_pat_[A-Za-z0-9_]{4,}")
_MASK = "***"
_MIN_SECRET_LENGTH = 4
# Our own events report an outage once. The libraries would log every attempt to connect (the pool),
# every retry (stamina) or both (aiokafka), and the details of every request.
_LIBRARY_LEVELS = {
    **dict.fromkeys(
        ("alembic", "httpcore2", "httpx2", "httpcore", "httpx", "asyncio"), logging.WARNING
    ),
    **dict.fromkeys(("psycopg", "stamina"), logging.ERROR),
    "aiokafka": logging.CRITICAL,
    # It would repeat `request.failed` and the errors of our protocol.
    "uvicorn": logging.ERROR,
}


def configure_logs(
    *, level: LogLevel, log_format: LogFormat, secrets: Iterable[Secret] = ()
) -> None:
    """Configure structlog and logging: all events go to standard error, one per line."""
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
    # None if the process was started without standard error.
    handler: logging.Handler = logging.NullHandler()
    if sys.stderr is not None:
        handler = _OneLineHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(["logger"]), *shared],
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
    for name, library_level in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(library_level)


class Redactor:
    """A structlog processor that masks secrets in an event at any depth; objects become text."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        texts = {secret.reveal() for secret in secrets}
        encoded = {
            encoding
            for text in texts
            if len(text) >= _MIN_SECRET_LENGTH
            for encoding in _encodings(text)
        }
        # The longest first: a secret may contain another one.
        parts = [re.escape(text) for text in sorted(encoded, key=len, reverse=True)]
        self._pattern = re.compile("|".join([*parts, _TOKEN.pattern]))

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        """Return the event with masked values."""
        # Keys with a leading underscore belong to structlog and are never written.
        return {
            key: value if key.startswith("_") else self._redact(value)
            for key, value in event.items()
        }

    def redact_text(self, text: object) -> str:
        """Return the text of an object with secrets masked."""
        return self._pattern.sub(_MASK, str(text))

    def _redact(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {self.redact_text(key): self._redact(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._redact(item) for item in value]
        return self.redact_text(value)


class _OneLineHandler(logging.StreamHandler[Any]):
    """Writes one line per event, also for an event that can't be formatted."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Log the name of the logger only: the default prints arguments, which may be secret."""
        lost = logging.makeLogRecord(
            {"msg": "log.line_lost", "levelname": "ERROR", "logger": record.name}
        )
        with suppress(OSError, ValueError):
            self.stream.write(self.format(lost) + self.terminator)


def _encodings(secret: str) -> set[str]:
    """Return the forms of a secret in plain text, `repr`, JSON and URLs."""
    return {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe="")}


def _renderers(log_format: LogFormat) -> list[Processor]:
    if log_format is LogFormat.JSON:
        return [structlog.processors.JSONRenderer(), _escape_delete]
    logfmt = structlog.processors.LogfmtRenderer(
        key_order=["timestamp", "level", "event"], drop_missing=True
    )
    return [logfmt, _escape_line]


def _escape_line(logger: WrappedLogger, name: str, line: Any) -> str:
    """Escape control characters, which could break the line or control a terminal."""
    return escape_controls(line)


def _escape_delete(logger: WrappedLogger, name: str, line: Any) -> str:
    """Escape DEL, the only control character that JSON does not escape itself."""
    return str(line).replace("\x7f", "\\u007f")


_wrap: Processor = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
