"""
The calls from one service to another, signed: one client for each remote.

Foreign errors become ours here: what passes by itself is `Unavailable`, what never works is
`RemoteRejected`. The deadlines of a request belong to whoever calls; a limit of each call's own stands here.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
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
from github_banners.log_throttle import LogThrottle
from github_banners.messaging.mapping import to_preview_request
from github_banners.messaging.schemas import (
    BatchedBanner,
    StoreBatch,
    StoreRequest,
    StoreResponse,
    StoreResult,
    StoreResults,
)
from github_banners.messaging.signing import Signer
from github_banners.messaging.tracing import TRACEPARENT, bind_trace, make_traceparent
from github_banners.models import Snapshot
from github_banners.options import BannerOptions

_log = structlog.get_logger(__name__)

_CONNECT_TIMEOUT_SECONDS = 1.0
_MAX_CONNECTIONS = 64
_MAX_SHOWN_CHARACTERS = 200
_MAX_RESPONSE_BYTES = 4 << 20  # a picture has 1 MB at most
_PERMANENT_STATUSES = {400, 413, 422}
_UNSUPPORTED_STATUSES = {404, 405}
_NO_BANNER = UnknownBanner.public_message.encode()
# A connection that the other side closed while it lay in the pool; the call never arrived.
_STALE_CONNECTION_ERRORS = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)


@asynccontextmanager
async def open_http(*, timeout: timedelta) -> AsyncIterator[httpx2.AsyncClient]:  # noqa: ASYNC109 - the wire's, not ours
    """Open the connections to a neighbour; `timeout` limits each step of a call."""
    limits = httpx2.Limits(max_connections=_MAX_CONNECTIONS)
    seconds = timeout.total_seconds()
    limit = httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_TIMEOUT_SECONDS))
    async with httpx2.AsyncClient(timeout=limit, limits=limits, trust_env=False) as http:
        yield http


class _SignedClient:
    """Signs a call, sends it, and reads what the status means."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        *,
        base_url: str,
        signer: Signer,
        unavailable_error: type[Unavailable],
    ) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._signer = signer
        self._unavailable_error = unavailable_error
        self.is_available = True

    async def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        expected: Collection[int] = (httpx2.codes.NOT_FOUND,),
    ) -> httpx2.Response:
        """
        Send a call and give back an answer of 2xx or of a status that is `expected` besides.

        :raises Unavailable: of the remote's own kind: no answer, or one that will be another later
        :raises RemoteRejected: the remote will never take this
        """
        try:
            answer = await self._send(method, path, body)
        except BaseException:
            # Who waits no longer has had no answer either.
            self.is_available = False
            raise
        is_accepted = answer.is_success or answer.status_code in expected
        self.is_available = is_accepted or answer.status_code in _PERMANENT_STATUSES
        if is_accepted:
            return answer
        kind = RemoteRejected if self.is_available else self._unavailable_error
        words = answer.text[:_MAX_SHOWN_CHARACTERS]
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            words += "; SERVICES_SECRET_KEY and the clock must be the same there and here"
        raise kind(f"{method} {path} was answered with {answer.status_code}: {words}")

    async def check_health(self) -> None:
        """See whether a remote that did not answer the last time does now; raises nothing."""
        if self.is_available:
            return
        try:
            # Its head says enough.
            async with self._http.stream("GET", self._base_url + "/healthz") as response:
                self.is_available = response.is_success
        except httpx2.HTTPError:
            return

    def mark_unusable(self, reason: str) -> Unavailable:
        """Take back that the remote has answered: what came is of no use."""
        self.is_available = False
        return self._unavailable_error(reason)

    async def _send(self, method: str, path: str, body: bytes) -> httpx2.Response:
        try:
            async for attempt in stamina.retry_context(
                on=_STALE_CONNECTION_ERRORS, attempts=2, wait_initial=0.01, wait_jitter=0.02
            ):
                with attempt:
                    return await self._attempt(method, path, body)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._unavailable_error(
                f"{type(error).__name__}: {error}".rstrip(": ")
            ) from error
        raise AssertionError("retries end with an answer or an error")

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


class RendererClient:
    """The renderer, seen from afar."""

    def __init__(self, http: httpx2.AsyncClient, *, base_url: str, signer: Signer) -> None:
        self._client = _SignedClient(
            http, base_url=base_url, signer=signer, unavailable_error=RendererUnavailable
        )

    @property
    def is_available(self) -> bool:
        """Say whether the last call was answered, for readiness."""
        return self._client.is_available

    async def check_health(self) -> None:
        """See whether it is back, where it did not answer the last time; raises nothing."""
        await self._client.check_health()

    async def draw(self, snapshot: Snapshot, look: BannerOptions) -> bytes:
        """
        Have numbers drawn as SVG.

        :raises RendererUnavailable: it does not answer, or not with a picture
        :raises RemoteRejected: it can't draw this
        """
        ask = to_preview_request(snapshot, look)
        answer = await self._client.send("POST", "/preview", ask.to_json())
        if not _is_picture(answer):
            raise self._client.mark_unusable("what came was no picture")
        return answer.content


class StorageClient:
    """The storage, seen from afar."""

    def __init__(self, http: httpx2.AsyncClient, *, base_url: str, signer: Signer) -> None:
        self._client = _SignedClient(
            http, base_url=base_url, signer=signer, unavailable_error=StorageUnavailable
        )
        self._throttle = LogThrottle(time.monotonic)

    @property
    def is_available(self) -> bool:
        """Say whether the last call was answered, for readiness."""
        return self._client.is_available

    async def check_health(self) -> None:
        """See whether it is back, where it did not answer the last time; raises nothing."""
        await self._client.check_health()

    async def store(self, request: StoreRequest) -> StoreResponse:
        """
        Have a picture stored; returns when it lies there, or a newer one does.

        :raises StorageUnavailable: it can't be stored now
        :raises RemoteRejected: it will never be stored
        """
        answer = await self._client.send("POST", "/banners", request.to_json())
        try:
            return StoreResponse.from_json(answer.content)
        except MalformedMessage as error:
            raise self._client.mark_unusable(f"what came was no answer: {error}") from error

    async def store_many(
        self, banners: Sequence[BatchedBanner]
    ) -> list[StoreResponse | BaseException]:
        """
        Have pictures stored in one call; returns one result each, an error in place of raising it.

        A storage that does not take them together (an older version, or a limit on the way) gets
        each by itself, so that each has a result of its own.

        :raises StorageUnavailable: none can be stored now
        """
        batch = StoreBatch(banners=[msgspec.Raw(banner.to_json()) for banner in banners])
        try:
            answer = await self._client.send(
                "POST", "/banners/batch", batch.to_json(), expected=_UNSUPPORTED_STATUSES
            )
        except RemoteRejected as error:
            return await self._store_each(banners, reason=str(error))
        if answer.status_code in _UNSUPPORTED_STATUSES:
            return await self._store_each(banners, reason="it knows no batches")
        try:
            results = StoreResults.from_json(answer.content).results
        except MalformedMessage as error:
            raise self._client.mark_unusable(f"what came was no answer: {error}") from error
        if len(results) != len(banners):
            raise self._client.mark_unusable(f"{len(banners)} banners had {len(results)} results")
        outcomes = [_outcome_from_result(result) for result in results]
        if all(isinstance(outcome, StorageUnavailable) for outcome in outcomes):
            self._client.is_available = False
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

    async def get(self, name: str) -> bytes | None:
        """
        Read a stored picture; None where there is none.

        :raises StorageUnavailable: it can't be read now
        """
        answer = await self._client.send("GET", f"/banners/{quote(name, safe='')}")
        if answer.status_code == httpx2.codes.NOT_FOUND and _NO_BANNER in answer.content:
            return None
        if not _is_picture(answer):
            raise self._client.mark_unusable("what came was no picture")
        return answer.content


async def _read_bounded(response: httpx2.Response) -> httpx2.Response:
    """
    Read a response of any length up to a limit, so that a wrong address can't fill the memory.

    :raises httpx2.DecodingError: it is longer, or not sent as it is
    """
    chunks, size_bytes = [], 0
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.DecodingError("an answer with an encoding that was not asked for")
    async for chunk in response.aiter_bytes():
        chunks.append(chunk)
        size_bytes += len(chunk)
        if size_bytes > _MAX_RESPONSE_BYTES:
            raise httpx2.DecodingError(f"an answer of more than {_MAX_RESPONSE_BYTES} bytes")
    headers = response.headers
    return httpx2.Response(response.status_code, headers=headers, content=b"".join(chunks))


def _outcome_from_result(result: StoreResult) -> StoreResponse | BaseException:
    """Read what a storage says of one banner of a batch, as of a single call's response."""
    if result.url is not None:
        return StoreResponse(url=result.url, superseded=result.superseded)
    kind = RemoteRejected if result.status in _PERMANENT_STATUSES else StorageUnavailable
    words = msgspec.json.encode(result).decode()[:_MAX_SHOWN_CHARACTERS]
    return kind(f"POST /banners/batch was answered with {result.status} for a banner: {words}")


def _is_picture(response: httpx2.Response) -> bool:
    is_svg = response.headers.get("content-type", "").startswith("image/svg+xml")
    return is_svg and response.status_code == httpx2.codes.OK
