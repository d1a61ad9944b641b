"""
Traces of requests and events with OpenTelemetry, if OTEL_EXPORTER_OTLP_ENDPOINT is set.

A service gets a `Tracing` when it is opened, which wraps what the service calls. `Tracing` itself wraps
nothing, so a request costs nothing more while traces are off. `spans` records them, `export` sends them
to a collector; only these two modules import OpenTelemetry, and only while traces are on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

import structlog
from starlette.middleware import Middleware

from github_banners.errors import ConfigurationError
from github_banners.settings import ServiceName, Settings

if TYPE_CHECKING:
    from httpx2 import AsyncBaseTransport

_log = structlog.get_logger(__name__)

LabelPath: TypeAlias = Callable[[str], str | None]
"""Returns the label of a path, None for unknown ones; it has few values."""


class SpanKind(StrEnum):
    """
    The role of a span in its trace.

    https://opentelemetry.io/docs/specs/otel/trace/api/#spankind
    """

    INTERNAL = "internal"
    CLIENT = "client"
    SERVER = "server"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class StartSpan(Protocol):
    """Starts a span as the current one; leaving the context ends it."""

    def __call__(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, str | int] = {},
        parent: str | None = None,
        is_root: bool = False,
        only_in_trace: bool = False,
        links: Sequence[str] = (),
    ) -> AbstractContextManager[str]:
        """
        Start a span and enter its `traceparent` header, whose ids are also bound to log lines.

        `parent` and `links` are `traceparent` headers; without a valid parent the current span is
        the parent. A root has none, and the trace id that is bound to log lines. With `only_in_trace`
        nothing is recorded outside of a trace, and the header is empty. Attributes follow
        https://opentelemetry.io/docs/specs/semconv/ and hold no query, token or message of an error.
        """


class Tracing:
    """The instrumentation of a service. This class records nothing and returns what it is given."""

    @property
    def start_span(self) -> StartSpan | None:
        """Return the function that starts spans; None if traces are off."""
        return None

    def middleware(self, label_path: LabelPath) -> list[Middleware]:
        """Return the ASGI middleware that records requests, the outermost of an application."""
        return []

    def trace_service_calls(self, transport: "AsyncBaseTransport") -> "AsyncBaseTransport":
        """Return a transport that records requests to our services and passes on the trace."""
        return transport

    def trace_github_requests(self, transport: "AsyncBaseTransport") -> "AsyncBaseTransport":
        """Return a transport that records requests to GitHub, which is told nothing of the trace."""
        return transport


OFF = Tracing()


def version_attributes(path: str, version: int | None) -> dict[str, str | int]:
    """Return the attributes of a version of a stored banner; without a version it is 0."""
    return {"banners.path": path, "banners.version": version or 0}


@contextmanager
def open_tracing(settings: Settings, *, service: ServiceName) -> Iterator[Tracing]:
    """
    Yield the instrumentation of a service; on exit, send what is recorded within two seconds.

    Without the extra `otel`, or with a variable that OpenTelemetry rejects, a warning is logged and
    nothing is traced: a variable that is set for all containers must not stop a service.
    """
    with ExitStack() as stack:
        tracing = OFF
        try:
            tracing = start_tracing(settings, service=service, stack=stack)
        except ConfigurationError as error:
            is_missing = isinstance(error.__cause__, ModuleNotFoundError)
            event = "traces.not_installed" if is_missing else "traces.not_configured"
            _log.warning(event, reason=str(error))
        yield tracing


def start_tracing(settings: Settings, *, service: ServiceName, stack: ExitStack) -> Tracing:
    """
    Return the instrumentation of a service, which ends with the stack.

    :raises ConfigurationError: the extra `otel` is missing, or OpenTelemetry rejects a variable
    """
    if not settings.records_traces:
        return OFF
    try:
        # Imported here because it takes a quarter of a second, and is not installed by default.
        from github_banners.serving.telemetry.export import exporting  # noqa: PLC0415

        return stack.enter_context(exporting(settings, service=service))
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, but {error.name} is not installed:"
            " install the extra `otel`, in a checkout by pip install '.[otel]'"
        ) from error
    except ValueError as error:
        # It reads some of its variables when it is imported.
        raise ConfigurationError(
            f"OpenTelemetry rejects one of the variables OTEL_*: {error}"
        ) from error
