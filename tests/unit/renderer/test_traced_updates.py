"""Spans of updates: which trace they belong to, and that nothing is wrapped while traces are off."""

from contextlib import suppress

import pytest
import structlog

from github_banners.drawing import draw
from github_banners.errors import MalformedMessage
from github_banners.messaging.events import TOPIC, Record
from github_banners.messaging.schemas import BatchedBanner, StoreRequest, StoreResponse
from github_banners.messaging.trace_context import bind_trace
from github_banners.renderer.traced_updates import (
    trace_draw,
    trace_store,
    trace_store_many,
    tracing_records,
)
from github_banners.renderer.worker import bind_record_trace
from github_banners.serving.telemetry import OFF

pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")

from tests.unit.serving.span_recorder import (
    Recorder,
    read_attributes,
    read_parent_id,
    read_trace_id,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def make_record(traceparent: str) -> Record:
    return Record(TOPIC, 2, 7, b"ada", b"{}", (("traceparent", traceparent.encode()),))


async def store(request: StoreRequest) -> StoreResponse:
    return StoreResponse(url=request.url_path)


def test_everything_is_as_given_while_traces_are_off() -> None:
    assert tracing_records(OFF) is bind_record_trace
    assert trace_draw(draw, tracing=OFF) is draw
    assert trace_store(store, tracing=OFF) is store
    many = trace_store_many(store, tracing=OFF)  # type: ignore[arg-type]
    assert many is store  # type: ignore[comparison-overlap]


def test_record_is_processed_in_the_trace_of_its_header() -> None:
    recorder = Recorder()
    with tracing_records(recorder.tracing)(make_record(TRACEPARENT)):
        pass
    # Log lines about the outcome of the attempt come after its span.
    assert structlog.contextvars.get_contextvars()["trace_id"] == TRACE
    (span,) = recorder.spans
    assert (read_trace_id(span), read_parent_id(span)) == (TRACE, "00f067aa0ba902b7")
    assert span.name == "process banner-update"
    attributes = read_attributes(span)
    assert attributes["messaging.destination.partition.id"] == "2"
    assert attributes["messaging.kafka.offset"] == 7


@pytest.mark.parametrize("header", ["", "malformed"])
def test_record_without_a_trace_has_the_id_of_its_log_lines(header: str) -> None:
    recorder = Recorder()
    with suppress(MalformedMessage), tracing_records(recorder.tracing)(make_record(header)):
        raise MalformedMessage("a secret")
    (span,) = recorder.spans
    assert span.parent is None
    assert read_trace_id(span) == structlog.contextvars.get_contextvars()["trace_id"]
    assert read_attributes(span)["error.type"] == "MalformedMessage"


async def test_batch_is_a_trace_of_its_own_with_links_to_its_pictures() -> None:
    recorder = Recorder()

    async def store_many(banners: object) -> list[StoreResponse | BaseException]:
        return []

    picture = BatchedBanner(
        url_path="ada", banner_info=b"", banner_format="svg", traceparent=TRACEPARENT
    )
    with recorder.start_span("the picture that happens to be first"):
        trace_id = bind_trace()  # as the batcher does for each call
        await trace_store_many(store_many, tracing=recorder.tracing)([picture])
    batch, first = recorder.spans
    assert batch.parent is None
    assert read_trace_id(batch) == trace_id != read_trace_id(first)
    (link,) = batch.links
    assert f"{link.context.trace_id:032x}" == TRACE
