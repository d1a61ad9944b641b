"""
The HTTP/1.1 protocol of every service: uvicorn's, with cached responses and with limits.

A request whose response is cached is answered by a single write as soon as its head is parsed,
without an ASGI scope, a task or the application. Any other request takes uvicorn's path. Everything
a client can send or leave unread is bounded: heads, pipelined requests, unread responses, and their
time.
"""

import asyncio
from typing import Any

import httptools
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from github_banners.serving import malformed_requests
from github_banners.serving.cached_responses import CachedResponse, RawHeaders, are_unambiguous
from github_banners.serving.connections import Connections

_MAX_HEADERS = 256
_MAX_PIPELINED = 8
# Data is parsed in slices, so that parsing can pause within a segment full of tiny requests.
_SLICE_BYTES, _BODY_SLICE_BYTES = 1 << 10, 16 << 10
_MAX_UNPARSED_BYTES = 512 << 10


class HttpProtocol(HttpToolsProtocol):
    """The state of one connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        shared: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._shared = shared
        self._limits = shared.limits
        self._cached = shared.cached
        self._active_at = shared.now  # when a request or response last made progress
        self._in_head = False
        self._in_request_line = False
        self._is_target_encoded = False  # whether the target being parsed had raw UTF-8
        self._framing_bytes = 0  # of the message being parsed: all but its body
        self._in_message = False
        self._message_count = 0  # requests that started in the segment being parsed
        self._is_answered = False  # whether the request being parsed was answered from the cache
        self._from_cache: CachedResponse | None = None  # the last response
        self._is_draining = False
        self._is_finished = False  # whether further data is ignored
        self._is_half_closed = False  # whether the client has sent its last request
        self._pending_requests = 0  # requests running in the application or queued for it
        self._rejection: int | None = None
        self._unparsed = bytearray()
        self._unread_bytes = 0

    @property
    def unparsed_bytes(self) -> int:
        """How much received data waits until earlier requests are answered."""
        return len(self._unparsed)

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Register the connection."""
        super().connection_made(transport)
        # With a limit of 0, data that the socket does not accept pauses all further responses, and
        # uvloop writes at once instead of at the end of a loop iteration.
        transport.set_write_buffer_limits(high=0)
        self._shared.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Unregister the connection, so that another one can be accepted."""
        super().connection_lost(exc)
        self._is_finished = True
        self._unparsed.clear()
        self._shared.open.discard(self)
        self._shared.on_closed()

    def shutdown(self) -> None:
        """Close the connection after the next response, which may be to a request in transit."""
        if self._is_draining:
            return
        self._is_draining = True
        if self._is_idle:
            self.loop.call_later(self._limits.shutdown_seconds, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def close_if_overdue(self) -> None:
        """Close the connection if it has exceeded a time limit."""
        limits, quiet_seconds = self._limits, self._shared.now - self._active_at
        unread_bytes = self.transport.get_write_buffer_size()
        if unread_bytes:
            # A slow client that reads something is active.
            if unread_bytes != self._unread_bytes:
                self._active_at = self._shared.now
            elif quiet_seconds > limits.unread_seconds:
                self.transport.abort()
        elif self._in_head:
            if quiet_seconds > limits.head_seconds:
                self._finish()
        elif self._is_idle:
            # In a message: the rest of a body whose request was answered early.
            seconds = limits.body_pause_seconds if self._in_message else limits.idle_seconds
            if quiet_seconds > seconds:
                self._finish()
        elif self.cycle.more_body and quiet_seconds > limits.body_pause_seconds:
            self.transport.abort()
        self._unread_bytes = unread_bytes

    @property
    def _is_idle(self) -> bool:
        return not self._pending_requests

    def _close_if_idle(self) -> None:
        if self._is_idle and not self._in_head:
            self._finish()

    def _finish(self) -> None:
        self._is_finished = True
        self.transport.close()

    # Receiving

    def data_received(self, data: bytes) -> None:
        """
        Answer a request whose exact bytes are cached without parsing it; parse any other data.

        This pays off because proxies send identical heads again and again.
        """
        is_boundary = not (self._in_message or self._pending_requests or self._unparsed)
        is_ending = self._is_draining or self._is_finished
        if (
            is_boundary
            and self._cached is not None
            and not is_ending
            and not self.flow.write_paused
        ):
            response = self._cached.get_by_raw_request(
                data, common_headers=self.server_state.default_headers
            )
            if response is not None:
                self._active_at = self._shared.now
                self.transport.write(response)
                return
        self._receive(data, is_boundary=is_boundary)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection of a client that sends no more open until the last response."""
        self._is_half_closed = True
        if not self._unparsed:
            self._end_requests()
        return not self._is_finished

    def _end_requests(self) -> None:
        if self._rejection is not None:  # its response is the last one
            return
        if not self._is_idle and self.cycle.more_body:
            self._drop_last_request()
        self._in_head = False
        if self._is_idle:
            self._finish()
        else:
            self.cycle.keep_alive = False

    def _receive(self, data: bytes, *, is_boundary: bool) -> None:
        """Parse data, or buffer it while earlier requests are being answered."""
        if self._is_finished or self._rejection is not None:
            return
        if self._unparsed or len(data) > _SLICE_BYTES:
            self._unparsed += data
            self._parse_unparsed()
            if self.unparsed_bytes > _MAX_UNPARSED_BYTES:
                self.transport.abort()
            return
        self._message_count = 0
        self._parse(data)
        # Cached only if the segment held exactly one whole request: then equal bytes are equal
        # requests.
        is_whole = is_boundary and self._message_count == 1 and not self._in_message
        if is_whole and self._cached is not None and self._from_cache is not None:
            self._cached.put_by_raw_request(data, self._from_cache)

    def _parse_unparsed(self) -> None:
        position, unparsed = 0, self._unparsed
        while position < len(unparsed) and not self._is_finished and self._rejection is None:
            if len(self.pipeline) >= _MAX_PIPELINED:
                self.flow.pause_reading()
                break
            is_body = not self._in_head and not self._is_idle and self.cycle.more_body
            size = _BODY_SLICE_BYTES if is_body else _SLICE_BYTES
            self._parse(unparsed[position : position + size])
            position += size
        del unparsed[:position]
        if self._is_half_closed and not unparsed:
            self._end_requests()

    def _parse(self, data: bytes | bytearray) -> None:
        if data.isascii() and data.endswith(b"\n"):
            self._feed(data)
            self._in_request_line = False
            return
        # Raw UTF-8 is allowed in headers and bodies, and encoded in request lines.
        for part in malformed_requests.split_at_lines(data):
            if self._is_finished or self._rejection is not None:
                return
            if self._in_request_line and not part.isascii():
                self._is_target_encoded = True
                self._feed(malformed_requests.percent_encode(part))
            else:
                self._feed(part)
            if part.endswith(b"\n"):
                self._in_request_line = False

    def _feed(self, data: bytes | bytearray) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Upgrades are not supported: the request is answered as plain HTTP.
            if not self._is_idle:
                self.cycle.keep_alive = False
        except httptools.HttpParserError:
            self._reject(400)
            return
        if self._in_message:
            self._framing_bytes += len(data)
            if self._framing_bytes > self._limits.head_bytes or len(self.headers) > _MAX_HEADERS:
                self._reject(431)

    def on_message_begin(self) -> None:
        """
        Reset the state for a new request.

        uvicorn's own method, which builds an ASGI scope, is called only if the application runs.
        """
        self.url = b""
        self.headers = []
        self._in_head = self._in_message = self._in_request_line = True
        self._is_target_encoded = False
        self._framing_bytes = 0
        self._is_answered = False
        self._from_cache = None
        self._message_count += 1
        self._active_at = self._shared.now

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Answer the request from the cache, or run the application."""
        if self._is_target_encoded and not malformed_requests.is_utf8(self.url):
            self._is_answered = True
            self._reject(400)
        elif self._is_finished or self._respond_from_cache():
            self._is_answered = True
        else:
            self._run_application()
        self._in_head = False
        self.headers = []  # trailers must not be taken for headers (RFC 9110, 6.5.1)
        self._active_at = self._shared.now

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body to the application."""
        self._framing_bytes -= len(body)
        if not self._is_answered:
            if not self.cycle.response_complete:
                self._active_at = self._shared.now
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Tell the application that a body is complete."""
        self._in_message = False
        if not self._is_answered:
            super().on_message_complete()

    # Responding

    def _respond_from_cache(self) -> bool:
        """Send the cached response of a plain GET or HEAD; return False if there is none."""
        cached, parser = self._cached, self.parser
        if cached is None or not self._is_idle:
            return False
        method = parser.get_method()
        if method not in (b"GET", b"HEAD") or parser.get_http_version() != "1.1":
            return False
        headers = dict(self.headers)
        is_plain = (
            (len(headers) == len(self.headers) or are_unambiguous(self.headers))
            and len(headers.get(b"host", b"").split()) == 1
            and b"content-length" not in headers
            and b"transfer-encoding" not in headers
            and b"expect" not in headers
            and not parser.should_upgrade()
        )
        if not is_plain or self.flow.write_paused:
            return False
        closing = self._is_draining or not parser.should_keep_alive()
        response = cached.respond(
            self.url,
            headers,
            is_head=method == b"HEAD",
            is_closing=closing,
            common_headers=self.server_state.default_headers,
        )
        if response is None:
            return False
        self.transport.write(response.payload)
        if closing:
            self._finish()
        else:
            self._from_cache = response
        return True

    def _run_application(self) -> None:
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        self.headers += headers
        http_version = self.parser.get_http_version()
        if not _has_valid_host(headers, http_version):
            self._is_answered = True
            self._reject(400)
            return
        self.expect_100_continue = http_version == "1.1" and any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in headers
        )
        super().on_headers_complete()
        self._pending_requests += 1
        if self._is_draining:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        """Continue with the next request that was received already."""
        self._pending_requests -= 1
        self._active_at = self._shared.now
        super().on_response_complete()
        # Idle connections are closed by `sweep`.
        self._unset_keepalive_if_required()
        if self._is_finished or self.transport.is_closing():
            return
        if self._unparsed:
            self.loop.call_soon(self._parse_unparsed)
        elif self._is_idle and self._rejection is not None:
            self._reject(self._rejection)
        elif self._is_idle and self._is_half_closed:
            self._finish()
        elif self._is_idle and self._is_draining:
            self.loop.call_later(self._limits.shutdown_seconds, self._close_if_idle)

    def _reject(self, status: int) -> None:
        """Send an error after all earlier responses; only close if the request was answered."""
        is_answered_body = self._in_message and not self._in_head and self._is_idle
        if self._is_finished or is_answered_body:
            self._finish()
            return
        self._in_head = self._in_message = False
        self._unparsed.clear()
        if not self._is_idle and self.cycle.more_body:
            self._drop_last_request()
        if not self._is_idle:
            self._rejection = status
            self.flow.pause_reading()
            return
        self.transport.write(
            malformed_requests.encode_rejection(status, self.server_state.default_headers)
        )
        self._finish()

    def _drop_last_request(self) -> None:
        """Drop a request with a malformed body, unless its response has started."""
        cycle = self.cycle
        if cycle.response_started:
            cycle.keep_alive = False
            return
        cycle.disconnected = True
        cycle.message_event.set()
        self._pending_requests -= 1
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()


def _has_valid_host(headers: RawHeaders, http_version: str) -> bool:
    """Return whether there is one `Host` without blanks; before HTTP/1.1 none (RFC 9112, 3.2)."""
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1:
        return not hosts and http_version != "1.1"
    return len(hosts[0].split()) <= 1
