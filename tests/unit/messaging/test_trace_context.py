"""Trace ids in the format of W3C Trace Context."""

import asyncio

import pytest
import structlog

from github_banners.messaging.trace_context import (
    bind_trace,
    bound_trace_id,
    make_traceparent,
    parse_trace_id,
    trace_context,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADER = f"00-{TRACE}-00f067aa0ba902b7-01"


def test_parse_trace_id_valid_header_returns_the_id() -> None:
    assert parse_trace_id(HEADER) == parse_trace_id(f" {HEADER} ") == TRACE
    assert parse_trace_id(f"cc-{TRACE}-00f067aa0ba902b7-01-what-will-be") == TRACE


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        HEADER.upper(),
        HEADER[:-1],
        HEADER.replace(TRACE, "0" * 32),
        HEADER.replace("00f067aa0ba902b7", "0" * 16),
        "ff" + HEADER[2:],
        HEADER + "x",
        HEADER.replace(TRACE, TRACE + "\nlevel=error"),
    ],
)
def test_trace_context_malformed_header_starts_a_new_trace(header: str) -> None:
    assert parse_trace_id(header) is None
    with trace_context(header, random_hex=lambda size: "ab" * size) as trace_id:
        assert trace_id == "ab" * 16


def test_trace_context_binds_the_id_while_it_lasts() -> None:
    with trace_context(HEADER) as trace_id:
        assert trace_id == TRACE
        assert structlog.contextvars.get_contextvars()["trace_id"] == TRACE
        sent = make_traceparent(random_hex=lambda size: "cd" * size)
        assert sent == f"00-{TRACE}-{'cd' * 8}-01"
        assert parse_trace_id(sent) == TRACE
    assert "trace_id" not in structlog.contextvars.get_contextvars()
    assert parse_trace_id(make_traceparent()) != TRACE


async def test_bind_trace_lasts_for_the_task_only() -> None:
    async def work(header: str) -> str:
        trace_id = bind_trace(header, random_hex=lambda size: "ab" * size)
        await asyncio.sleep(0)
        assert structlog.contextvars.get_contextvars()["trace_id"] == trace_id
        return trace_id

    trace_ids = await asyncio.gather(work(HEADER), work(""))
    assert [*trace_ids] == [TRACE, "ab" * 16]
    assert "trace_id" not in structlog.contextvars.get_contextvars()


def test_make_traceparent_names_the_recorded_span() -> None:
    with structlog.contextvars.bound_contextvars(
        trace_id=TRACE, span_id="00f067aa0ba902b7", trace_flags="00"
    ):
        assert make_traceparent() == f"00-{TRACE}-00f067aa0ba902b7-00"


def test_bound_trace_id_without_a_trace_is_empty() -> None:
    assert bound_trace_id() == ""
    with trace_context(HEADER):
        assert bound_trace_id() == TRACE
