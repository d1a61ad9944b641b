"""
Store a batch of banners: each is decoded, stored, counted and logged independently.

Independent of HTTP. A banner that can't be decoded or stored gets an error as its result, and the
others are stored all the same.
"""

import structlog

from github_banners.errors import BannersError, InvalidInput, MalformedMessage
from github_banners.messaging.schemas import (
    BatchedBanner,
    StoreBatch,
    StoreResponse,
    StoreResult,
    StoreResults,
)
from github_banners.messaging.trace_context import parse_trace_id
from github_banners.serving.metrics import Count
from github_banners.storage.store import Store, outcome_from_error, outcome_from_response

_log = structlog.get_logger(__name__)


async def store_batch(store: Store, body: bytes, *, count: Count) -> bytes:
    """
    Store the banners of a `StoreBatch` and return the JSON of a `StoreResults`.

    `count` is the metric of store outcomes.

    :raises MalformedMessage: the body as a whole is not a batch, and nothing was stored
    """
    banners: dict[int, BatchedBanner] = {}
    results: dict[int, StoreResult] = {}
    for index, raw in enumerate(StoreBatch.from_json(body).banners):
        try:
            banners[index] = BatchedBanner.from_json(bytes(raw))
        except MalformedMessage as error:
            results[index] = _to_error_result(error, store=store, count=count, banner="")
    outcomes = await store.put_many(list(banners.values()))
    trace_ids = [parse_trace_id(banner.traceparent) for banner in banners.values()]
    for index, outcome, trace_id in zip(banners, outcomes, trace_ids, strict=True):
        if isinstance(outcome, StoreResponse):
            version = banners[index].version
            results[index] = _to_result(outcome, count=count, version=version, trace_id=trace_id)
        else:
            results[index] = _to_error_result(
                outcome, store=store, count=count, banner=banners[index].url_path, trace_id=trace_id
            )
    failed = sum(result.url is None for result in results.values())
    _log.info("banners.stored", count=len(results) - failed, failed=failed, trace_ids=trace_ids)
    return StoreResults(results=[results[index] for index in sorted(results)]).to_json()


def _to_result(response: StoreResponse, *, count: Count, **logged: object) -> StoreResult:
    count(outcome_from_response(response))
    event = "banner.superseded" if response.superseded else "banner.stored"
    _log.debug(event, url=response.url, **logged)
    return StoreResult(url=response.url, superseded=response.superseded)


def _to_error_result(
    error: Exception, *, store: Store, count: Count, banner: str, **logged: object
) -> StoreResult:
    """
    Return what a single call would have returned: the public message, and no details of a bug.

    The renderer retries a banner every few seconds, so its error is logged once, then once an hour.
    """
    public_error = error if isinstance(error, BannersError) else BannersError()
    count(outcome_from_error(public_error))
    if store.throttle.allows((type(error), banner)):
        if public_error is error:
            _log.info("banner.refused", reason=str(error), banner=banner[:64], **logged)
        else:
            _log.error("banner.failed", exc_info=error, banner=banner[:64], **logged)
    return StoreResult(
        status=public_error.status,
        error=public_error.public_message,
        field=public_error.field if isinstance(public_error, InvalidInput) else None,
        reason=str(public_error) if isinstance(public_error, MalformedMessage) else None,
    )
