"""
Convert domain models to wire messages and back. Pure.

GitHub's numeric id is not transmitted: an owner read from a message has the id 0.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from github_banners.messaging.schemas import (
    BannerData,
    BannerEvent,
    Format,
    Payload,
    PreviewRequest,
)
from github_banners.messaging.version_check import plausible_version
from github_banners.models import (
    EPOCH,
    Owner,
    Snapshot,
    Stats,
    sort_languages,
    to_epoch_microseconds,
)
from github_banners.options import BannerOptions, DataKind, data_needs

_NO_ID = 0
# The fields of `Snapshot` and `BannerData` with the data that only some banners show.
_FIELDS_BY_KIND = {
    DataKind.FOLLOWERS: ("followers",),
    DataKind.LANGUAGE_SIZES: ("language_sizes",),
    DataKind.CONTRIBUTIONS: ("activity", "contribution_access"),
    DataKind.REPOSITORY: ("repository",),
}


@dataclass(frozen=True, slots=True)
class RenderJob:
    """A banner to draw and to store at `path`; the highest `version` of a path wins."""

    path: str
    snapshot: Snapshot
    options: BannerOptions
    version: int


def to_event(job: RenderJob, *, produced_at: datetime) -> BannerEvent:
    """Build the event that announces a new version of a banner."""
    snapshot = job.snapshot
    payload = Payload(
        username=snapshot.owner.login,
        display_name=snapshot.owner.display_name,
        stats=snapshot.stats,
        fetched_at=snapshot.fetched_at,
        **extra_data(snapshot, job.options),
        banner_type=job.options.theme,
        look=_non_default(job.options),
        storage_path=job.path,
        version=job.version,
    )
    return BannerEvent(
        event_type="github_banner_info_ready",
        event_version=1,
        produced_at=produced_at,
        payload=payload,
    )


def from_event(event: BannerEvent, *, now: datetime) -> RenderJob:
    """
    Convert an event to a render job; numbers without a date have the date of the event.

    The version is the first plausible one of: the event's version, the date of the numbers, the date
    of the event. If all are in the future, the event's version stays, and the storage ignores it.
    """
    dates = (event.payload.fetched_at, event.produced_at)
    versions = [
        event.version,
        *(max(0, to_epoch_microseconds(date)) for date in dates if date is not None),
    ]
    plausible = (version for version in versions if plausible_version(version, now=now) is not None)
    version = next(plausible, event.version)
    snapshot = _to_snapshot(event.payload, version=version, fetched_at=event.measured_at)
    return RenderJob(event.payload.storage_path, snapshot, _to_options(event.payload), version)


def to_preview_request(snapshot: Snapshot, options: BannerOptions) -> PreviewRequest:
    """Build the request to draw a banner as SVG."""
    return PreviewRequest(
        username=snapshot.owner.login,
        display_name=snapshot.owner.display_name,
        stats=snapshot.stats,
        fetched_at=snapshot.fetched_at,
        **extra_data(snapshot, options),
        banner_type=options.theme,
        look=_non_default(options),
        format=Format.SVG,
    )


def from_preview_request(request: PreviewRequest) -> tuple[Snapshot, BannerOptions]:
    """Return what a request wants drawn; the snapshot has the version 0."""
    return _to_snapshot(request, version=0, fetched_at=request.fetched_at), _to_options(request)


def _to_snapshot(data: BannerData, *, version: int, fetched_at: datetime | None) -> Snapshot:
    owner = Owner(_NO_ID, data.username, display_name=data.display_name)
    snapshot = Snapshot(owner, _sort_languages(data.stats), fetched_at or EPOCH, version)
    extra = {name: getattr(data, name) for names in _FIELDS_BY_KIND.values() for name in names}
    if data.language_sizes is not None:
        extra["language_sizes"] = _sort_by_count(data.language_sizes)
    return msgspec.structs.replace(snapshot, **extra)


def extra_data(snapshot: Snapshot, options: BannerOptions) -> dict[str, Any]:
    """Return the data that only some banners show, by field of `Snapshot`: what this one shows."""
    needs = data_needs(options)
    extra = {
        name: getattr(snapshot, name)
        for kind, names in _FIELDS_BY_KIND.items()
        if kind in needs
        for name in names
    }
    # It says why there are no followers. A number does not tell whether contributions are visible.
    if DataKind.FOLLOWERS in needs and snapshot.followers is None:
        extra["contribution_access"] = snapshot.contribution_access
    return extra


def _sort_languages(stats: Stats) -> Stats:
    """Sort languages as `Stats` requires; JSON objects have no order."""
    return msgspec.structs.replace(stats, languages=_sort_by_count(stats.languages))


def _sort_by_count(counts: dict[str, int]) -> dict[str, int]:
    return {name: counts[name] for name in sort_languages(counts)}


def _to_options(data: BannerData) -> BannerOptions:
    return msgspec.structs.replace(data.look or BannerOptions(), theme=data.banner_type)


def _non_default(options: BannerOptions) -> BannerOptions | None:
    return options if options != BannerOptions(theme=options.theme) else None
