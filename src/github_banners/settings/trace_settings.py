"""
Settings of traces, with the names and meanings of OpenTelemetry.

OpenTelemetry itself reads further variables, such as OTEL_RESOURCE_ATTRIBUTES.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from github_banners.settings.parsers import Headers, Url


class TracesSampler(StrEnum):
    """Which traces are recorded; `parentbased` ones follow the decision of the caller, if any."""

    ALWAYS_ON = "always_on"
    ALWAYS_OFF = "always_off"
    RATIO = "traceidratio"
    PARENT_BASED_ALWAYS_ON = "parentbased_always_on"
    PARENT_BASED_ALWAYS_OFF = "parentbased_always_off"
    PARENT_BASED_RATIO = "parentbased_traceidratio"


class TracesExporter(StrEnum):
    """Where traces are sent: to the collector, or nowhere."""

    OTLP = "otlp"
    NONE = "none"


class OtlpProtocol(StrEnum):
    """Protocols of OTLP, of which only HTTP with protobuf can be used."""

    GRPC = "grpc"
    HTTP_PROTOBUF = "http/protobuf"
    HTTP_JSON = "http/json"


_MAX_QUEUE_SIZE = 1_000_000
_MAX_SCHEDULE_DELAY_MS = 3_600_000
_DEFAULT_BATCH_SIZE = 512


class TracingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The part of `Settings` about traces."""

    otel_exporter_otlp_endpoint: Annotated[
        Url | None,
        Meta(description="URL of an OpenTelemetry collector (OTLP over HTTP); if unset, no traces"),
    ] = None
    otel_exporter_otlp_headers: Annotated[
        Headers | None, Meta(description="headers for the collector, `name=value`, comma-separated")
    ] = None
    otel_service_name: Annotated[
        str | None,
        Meta(
            description="name of the service in traces; by default `github-banners-api` and so on"
        ),
    ] = None
    otel_traces_sampler: Annotated[
        TracesSampler, Meta(description="which traces are recorded; a sampler of OpenTelemetry")
    ] = TracesSampler.PARENT_BASED_ALWAYS_ON
    otel_traces_sampler_arg: Annotated[
        float, Meta(ge=0, le=1, description="share of traces that a `traceidratio` sampler records")
    ] = 1.0
    otel_traces_exporter: Annotated[
        TracesExporter, Meta(description="`otlp`, or `none` to turn traces off")
    ] = TracesExporter.OTLP
    otel_exporter_otlp_protocol: Annotated[
        OtlpProtocol,
        Meta(description="protocol of the collector; only `http/protobuf` is possible"),
    ] = OtlpProtocol.HTTP_PROTOBUF
    otel_bsp_max_queue_size: Annotated[
        int,
        Meta(ge=1, le=_MAX_QUEUE_SIZE, description="spans that may wait; further ones are dropped"),
    ] = 2048
    otel_bsp_max_export_batch_size: Annotated[
        int | None,
        Meta(ge=1, le=_MAX_QUEUE_SIZE, description="spans in one request; by default at most 512"),
    ] = None
    otel_bsp_schedule_delay: Annotated[
        int,
        Meta(
            ge=1, le=_MAX_SCHEDULE_DELAY_MS, description="milliseconds from one batch to the next"
        ),
    ] = 5000
    otel_sdk_disabled: Annotated[bool, Meta(description="whether traces are off all the same")] = (
        False
    )

    @property
    def records_traces(self) -> bool:
        """True if there is a collector, and traces are not turned off."""
        is_off = self.otel_sdk_disabled or self.otel_traces_exporter is TracesExporter.NONE
        return self.otel_exporter_otlp_endpoint is not None and not is_off

    @property
    def traces_batch_size(self) -> int:
        """The number of spans in one request; without the setting, a short queue limits it."""
        default = min(_DEFAULT_BATCH_SIZE, self.otel_bsp_max_queue_size)
        return self.otel_bsp_max_export_batch_size or default


def find_trace_problems(values: Mapping[str, Any]) -> list[str]:
    """Return problems of parsed settings about traces; none while traces are off."""
    names = TracingSettings.__struct_fields__
    settings = TracingSettings(**{name: values[name] for name in names if name in values})
    if not settings.records_traces:
        return []
    problems = []
    if settings.otel_exporter_otlp_protocol is not OtlpProtocol.HTTP_PROTOBUF:
        problems.append(
            f"OTEL_EXPORTER_OTLP_PROTOCOL must be {OtlpProtocol.HTTP_PROTOBUF}, not"
            f" {settings.otel_exporter_otlp_protocol.value!r}: collectors have port 4318 for it"
        )
    if settings.traces_batch_size > settings.otel_bsp_max_queue_size:
        problems.append(
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE must not be greater than OTEL_BSP_MAX_QUEUE_SIZE,"
            f" {settings.otel_bsp_max_queue_size}"
        )
    return problems
