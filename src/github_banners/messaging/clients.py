"""
HTTP clients of the renderer and the storage; every call is signed.

Errors of httpx2 and of the remote become `Unavailable` where a retry may help, and `RemoteRejected`
where it can't. Each call has a timeout of its own; deadlines of a whole request are the caller's.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import ClassVar, TypeVar
from urllib.parse import quote

import httpx2
import msgspec
import stamina
import structlog

from github_banners.errors import (
    MalformedMessage,
    RemoteRejected,
    RendererUnavailable,
    StorageUnavailable,
    Unavailable,
    UnknownBanner,
)
from github_banners.http_client import (
    HttpTransport,
    TooLargeBody,
    WrapTransport,
    build_client,
    limit_size,
    unwrapped,
)
from github_banners.log_throttle import LogThrottle
from github_banners.messaging.mapping import to_preview_request
from github_banners.messaging.schemas import (
    BatchedBanner,
    RemoveResponse,
    StoreBatch,
    StoreRequest,
    StoreResponse,
    StoreResult,
    StoreResults,
    WireModel,
)
from github_banners.messaging.signing import Signer
from github_banners.messaging.trace_context import TRACEPARENT, bind_trace, make_traceparent
from github_banners.models import Snapshot
from github_banners.options import BannerOptions

M = TypeVar("M", bound=WireModel)

_log = structlog.get_logger(__name__)

CALL_TIMEOUT = timedelta(seconds=5)
"""The timeout of each step of a call: connecting (at most one second), sending, receiving."""

_CONNECT_TIMEOUT_SECONDS = 1.0
_MAX_CONNECTIONS = 64
_MAX_SHOWN_CHARACTERS = 200
_MAX_RESPONSE_BYTES = 4 << 20  # a picture is at most 1 MB
_PERMANENT_STATUSES = {400, 413, 422}
_UNSUPPORTED_STATUSES = {404, 405}
_NO_BANNER = UnknownBanner.public_message.encode()
# A pooled connection that the remote has closed: the call has not arrived, so it is sent again.
_STALE_CONNECTION_ERRORS = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)


@asynccontextmanager
async def open_service_http(
    *,
    timeout: timedelta = CALL_TIMEOUT,  # noqa: ASYNC109 - of each network operation, not of this call
    wrap_transport: WrapTransport = unwrapped,
) -> AsyncIterator[httpx2.AsyncClient]:
    """Open a connection pool; `timeout` limits each step of a call."""
    limits = httpx2.Limits(max_connections=_MAX_CONNECTIONS)
    async with build_client(
        wrap_transport(HttpTransport(limits=limits, trust_env=False)),
        timeout=timeout,
        connect_timeout_seconds=_CONNECT_TIMEOUT_SECONDS,
    ) as http:
        yield http


class _ServiceClient:
    """
    Signs and sends calls to one service, and converts error responses to exceptions.

    `is_available` is True if the last call got a usable response, for readiness.
    """

    _unavailable_error: ClassVar[type[Unavailable]]

    def __init__(self, http: httpx2.AsyncClient, *, base_url: str, signer: Signer) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._signer = signer
        self.is_available = True

    async def check_health(self) -> None:
        """Check whether the service is back if the last call failed; raise nothing."""
        if self.is_available:
            return
        try:
            # Streamed, since the status is enough.
            async with self._http.stream("GET", self._base_url + "/healthz") as response:
                self.is_available = response.is_success
        except httpx2.HTTPError:
            return

    async def _call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        expected: Collection[int] = (httpx2.codes.NOT_FOUND,),
    ) -> httpx2.Response:
        """
        Send a call; return a response with a status of 2xx or in `expected`.

        :raises Unavailable: there is no response, or one that a retry may change; the class is the
            one of this remote
        :raises RemoteRejected: the remote will never accept this call
        """
        try:
            response = await self._send(method, path, body)
        except BaseException:
            # A caller that cancelled the call has not got a response either.
            self.is_available = False
            raise
        is_accepted = response.is_success or response.status_code in expected
        self.is_available = is_accepted or response.status_code in _PERMANENT_STATUSES
        if is_accepted:
            return response
        error_class = RemoteRejected if self.is_available else self._unavailable_error
        message = response.text[:_MAX_SHOWN_CHARACTERS]
        if response.status_code == httpx2.codes.UNAUTHORIZED:
            message += "; SERVICES_SECRET_KEY and the clock must be the same on both sides"
        raise error_class(f"{method} {path} returned {response.status_code}: {message}")

    def _decode(self, model: type[M], response: httpx2.Response) -> M:
        """Decode the body of a response; a malformed one is unusable."""
        try:
            return model.from_json(response.content)
        except MalformedMessage as error:
            raise self._mark_unusable(f"the response is malformed: {error}") from error

    def _picture(self, response: httpx2.Response) -> bytes:
        """Return the picture in a response; any other response is unusable."""
        is_svg = response.headers.get("content-type", "").startswith("image/svg+xml")
        if not is_svg or response.status_code != httpx2.codes.OK:
            raise self._mark_unusable("the response is not a picture")
        return response.content

    def _mark_unusable(self, reason: str) -> Unavailable:
        """Mark the remote unavailable after an unusable response; return the error to raise."""
        self.is_available = False
        return self._unavailable_error(reason)

    async def _send(self, method: str, path: str, body: bytes) -> httpx2.Response:
        try:
            async for attempt in stamina.retry_context(
                on=_STALE_CONNECTION_ERRORS, attempts=2, wait_initial=0.01, wait_jitter=0.02
            ):
                with attempt:
                    return await self._attempt(method, path, body)
        except (httpx2.HTTPError, httpx2.InvalidURL, TooLargeBody) as error:
            raise self._unavailable_error(
                f"{type(error).__name__}: {error}".rstrip(": ")
            ) from error
        raise AssertionError("retries end with a response or an error")

    async def _attempt(self, method: str, path: str, body: bytes) -> httpx2.Response:
        url = self._base_url + path
        signed = self._signer.sign(method, url, body)
        headers = {
            TRACEPARENT: make_traceparent(),
            "content-type": "application/json",
            "accept-encoding": "identity",
            **signed,
        }
        async with self._http.stream(method, url, content=body, headers=headers) as response:
            return await _read_bounded(response)


class RendererClient(_ServiceClient):
    """Client of the renderer."""

    _unavailable_error = RendererUnavailable

    async def draw(self, snapshot: Snapshot, options: BannerOptions) -> bytes:
        """
        Have a banner drawn as SVG.

        :raises RendererUnavailable: there is no response, or it is not a picture
        :raises RemoteRejected: the renderer can't draw this
        """
        request = to_preview_request(snapshot, options)
        return self._picture(await self._call("POST", "/preview", request.to_json()))


class StorageClient(_ServiceClient):
    """Client of the storage."""

    _unavailable_error = StorageUnavailable

    def __init__(self, http: httpx2.AsyncClient, *, base_url: str, signer: Signer) -> None:
        super().__init__(http, base_url=base_url, signer=signer)
        self._throttle = LogThrottle(time.monotonic)

    async def store(self, request: StoreRequest) -> StoreResponse:
        """
        Have a picture stored; return once it or a newer one is stored.

        :raises StorageUnavailable: it can't be stored now
        :raises RemoteRejected: it can never be stored
        """
        response = await self._call("POST", "/banners", request.to_json())
        return self._decode(StoreResponse, response)

    async def store_many(
        self, banners: Sequence[BatchedBanner]
    ) -> list[StoreResponse | BaseException]:
        """
        Have pictures stored in one call; return one result each, and errors as results.

        If the batch as a whole is refused (by an older storage, or by a proxy with a size limit),
        each picture is sent in a call of its own.

        :raises StorageUnavailable: no picture can be stored now
        """
        batch = StoreBatch(banners=[msgspec.Raw(banner.to_json()) for banner in banners])
        try:
            response = await self._call(
                "POST", "/banners/batch", batch.to_json(), expected=_UNSUPPORTED_STATUSES
            )
        except RemoteRejected as error:
            return await self._store_each(banners, reason=str(error))
        if response.status_code in _UNSUPPORTED_STATUSES:
            return await self._store_each(banners, reason="batches are not supported")
        results = self._decode(StoreResults, response).results
        if len(results) != len(banners):
            raise self._mark_unusable(f"{len(results)} results for {len(banners)} banners")
        outcomes = [_outcome_from_result(result) for result in results]
        if all(isinstance(outcome, StorageUnavailable) for outcome in outcomes):
            self.is_available = False
        return outcomes

    async def _store_each(
        self, banners: Sequence[BatchedBanner], *, reason: str
    ) -> list[StoreResponse | BaseException]:
        if self._throttle.allows(reason):
            _log.warning("storage.batch_refused", reason=reason, banners=len(banners))

        async def store_banner(banner: BatchedBanner) -> StoreResponse:
            bind_trace(banner.traceparent)
            return await self.store(banner)

        return await asyncio.gather(*map(store_banner, banners), return_exceptions=True)

    async def remove(self, name: str, *, version: int) -> RemoveResponse:
        """
        Have a picture of this version or a lower one removed.

        :raises StorageUnavailable: it can't be removed now
        :raises RemoteRejected: it can never be removed
        """
        path = f"/banners/{quote(name, safe='')}?version={version}"
        # An older storage, which has no such route, responds 405.
        return self._decode(RemoveResponse, await self._call("DELETE", path, expected=()))

    async def get(self, name: str) -> bytes | None:
        """
        Return a stored picture; None if there is none.

        :raises StorageUnavailable: it can't be read now
        """
        response = await self._call("GET", f"/banners/{quote(name, safe='')}")
        # A 404 with another body may come from a proxy, or from a wrong address.
        if response.status_code == httpx2.codes.NOT_FOUND and _NO_BANNER in response.content:
            return None
        return self._picture(response)


async def _read_bounded(response: httpx2.Response) -> httpx2.Response:
    """
    Read a response up to a size limit, so that a wrong address can't exhaust memory.

    :raises TooLargeBody: it is larger
    :raises httpx2.DecodingError: it has a content encoding
    """
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.DecodingError("a response with a content encoding that was not requested")
    chunks = limit_size(response.aiter_bytes(), max_bytes=_MAX_RESPONSE_BYTES)
    content = b"".join([chunk async for chunk in chunks])
    headers = response.headers
    return httpx2.Response(response.status_code, headers=headers, content=content)


def _outcome_from_result(result: StoreResult) -> StoreResponse | BaseException:
    """Convert the result of one banner in a batch to what a single call would return or raise."""
    if result.url is not None:
        return StoreResponse(url=result.url, superseded=result.superseded)
    error_class = RemoteRejected if result.status in _PERMANENT_STATUSES else StorageUnavailable
    details = msgspec.json.encode(result).decode()[:_MAX_SHOWN_CHARACTERS]
    return error_class(f"POST /banners/batch returned {result.status} for a banner: {details}")
