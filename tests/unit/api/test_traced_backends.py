"""Nothing of the api is wrapped while traces are off; a version has a trace of its own."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from github_banners.api.backends import Backends
from github_banners.api.pictures import draw_locally
from github_banners.api.traced_backends import open_traced_database, trace_backends
from github_banners.database.banners import Banner
from github_banners.database.connect import Database
from github_banners.database.forgotten_users import RemovedPicture
from github_banners.errors import StorageUnavailable
from github_banners.messaging.schemas import RemoveResponse, StoreRequest
from github_banners.messaging.trace_context import bind_trace, bound_trace_id
from github_banners.models import Owner, Snapshot, Stats
from github_banners.options import BannerOptions
from github_banners.serving.telemetry import OFF
from github_banners.storage.folder_store import FolderStore
from github_banners.storage.traced_store import trace_store

pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")

from tests.unit.serving.span_recorder import Recorder, read_parent_id, read_span_id, read_trace_id

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SNAPSHOT = Snapshot(Owner(4, "ada", "U_4"), Stats(3, 2, 1, 10, 4, {"Ruby": 2}), NOW, 7)
BANNER = Banner(1, 4, "ada", BannerOptions(), (), 7, 0, "ada", True, NOW, NOW, NOW)
REQUEST = StoreRequest(url_path="ada", banner_info=b"", banner_format="svg", version=7)


class Stored:
    """Backends whose store may fail."""

    def __init__(self) -> None:
        self.is_down = False
        self.backends = Backends(
            draw=draw_locally,
            store=self.store,
            remove=self.remove,
            read_stored=self.read,
            publish=self.publish,
        )

    async def store(self, request: StoreRequest) -> None:
        if self.is_down:
            raise StorageUnavailable

    async def remove(self, picture: RemovedPicture) -> RemoveResponse:
        raise NotImplementedError

    async def read(self, name: str) -> None:
        return None

    async def publish(self, banner: Banner, snapshot: Snapshot) -> None:
        pass


async def test_everything_is_as_given_while_traces_are_off(tmp_path: Path) -> None:
    backends, store = Stored().backends, FolderStore(tmp_path)
    assert trace_backends(backends, tracing=OFF) is backends
    assert trace_store(store, tracing=OFF) is store
    assert type(open_traced_database("", tracing=OFF)) is Database
    store.close()


async def test_version_without_a_request_is_published_in_the_trace_of_its_log_lines() -> None:
    recorder, stored = Recorder(), Stored()
    backends = trace_backends(stored.backends, tracing=recorder.tracing, topic="banner-update")
    with recorder.start_span("request"):
        await backends.store(REQUEST)
    trace_id = bind_trace()
    await backends.publish(BANNER, SNAPSHOT)
    published = recorder.spans[-1]
    assert published.name == "send banner-update"
    assert (read_trace_id(published), published.parent) == (trace_id, None)


async def test_version_that_was_not_stored_is_published_in_the_trace_of_its_request() -> None:
    recorder, stored = Recorder(), Stored()
    backends = trace_backends(stored.backends, tracing=recorder.tracing)
    stored.is_down = True
    with recorder.start_span("request"), pytest.raises(StorageUnavailable):
        await backends.store(REQUEST)
    bind_trace()
    await backends.publish(BANNER, SNAPSHOT)
    failed, request, published = recorder.spans
    assert published.name == "publish banner"
    assert read_trace_id(published) == read_trace_id(request) == bound_trace_id()
    assert read_parent_id(published) == read_span_id(failed)
    # The next version has no request.
    await backends.publish(BANNER, SNAPSHOT)
    assert recorder.spans[-1].parent is None
