"""
One event per line, on standard error; no secret in any of them.

The text of every line is searched for the configured secrets and for what looks like a GitHub token,
after tracebacks have been written out.
"""

import logging
import re
import sys
from collections.abc import Iterable
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from github_banners.settings import LogFormat, LogLevel, Secret

_TOKEN = re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9_.]{4,}|github_pat_[A-Za-z0-9_]{4,})")
_MASK = "***"
_SHORTEST_SECRET = 4


def configure_logs(*, level: LogLevel, form: LogFormat, secrets: Iterable[Secret] = ()) -> None:
    """Send our own events and those of every library to standard error, one per line."""
    redact = Redact(secrets)
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
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact,
                _renderer(form),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Wire-level chatter of the HTTP client says nothing that our own events do not.
    for chatty in ("httpcore2", "httpx2", "httpcore", "httpx", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class Redact:
    """A processor that replaces every secret in every text of an event, however deep."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        texts = {secret.reveal() for secret in secrets}
        known = sorted((text for text in texts if len(text) >= _SHORTEST_SECRET), key=len)
        parts = [re.escape(text) for text in reversed(known)]
        self._pattern = re.compile("|".join([*parts, _TOKEN.pattern]))

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        """Clean one event."""
        return {key: self._clean(value) for key, value in event.items()}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._pattern.sub(_MASK, value)
        if isinstance(value, dict):
            return {key: self._clean(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(one) for one in value]
        return value


def _renderer(form: LogFormat) -> Processor:
    if form is LogFormat.JSON:
        return structlog.processors.JSONRenderer(default=str)
    return structlog.processors.LogfmtRenderer(
        key_order=["timestamp", "level", "event"], drop_missing=True
    )


_wrap: Processor = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
