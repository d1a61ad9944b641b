"""
Settings of traces, with the names and meanings of OpenTelemetry.

OpenTelemetry itself reads further variables, such as OTEL_RESOURCE_ATTRIBUTES and OTEL_BSP_*.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from enum import StrEnum
from typing import Annotated

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
    otel_sdk_disabled: Annotated[bool, Meta(description="whether traces are off all the same")] = (
        False
    )
