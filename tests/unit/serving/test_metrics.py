"""Metrics in the format that Prometheus parses."""

from collections.abc import Iterator

import httpx2
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from starlette.types import ASGIApp

from github_banners.serving.metrics import Metrics


async def get(app: ASGIApp, path: str = "/metrics", **headers: str) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as http:
        return await http.get(path, headers=headers)


def samples_in(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        yield from family.samples


async def scrape(metrics: Metrics, *, prefix: str = "banners_") -> dict[str, float]:
    """Return every sample whose name has the prefix, as `name{values of its labels}`."""
    text = (await get(metrics.app)).text
    return {
        f"{sample.name.removeprefix('banners_')}{{{','.join(sample.labels.values())}}}": sample.value
        for sample in samples_in(text)
        if sample.name.startswith(prefix) and not sample.name.endswith("_created")
    }


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


async def test_counter_label_values_start_at_zero(metrics: Metrics) -> None:
    count = metrics.counter("drawn_total", "Drawn.", labels="by", label_values=("renderer", "self"))
    assert await scrape(metrics) == {"drawn_total{renderer}": 0, "drawn_total{self}": 0}
    count("self")
    count("self")
    assert await scrape(metrics) == {"drawn_total{renderer}": 0, "drawn_total{self}": 2}


async def test_counter_undeclared_label_value_is_counted(metrics: Metrics) -> None:
    count = metrics.counter("refused_total", "Refused.", labels="reason")
    assert await scrape(metrics) == {}
    count("too old")
    assert await scrape(metrics) == {"refused_total{too old}": 1}


async def test_counter_two_labels_are_counted(metrics: Metrics) -> None:
    count = metrics.counter("requests_total", "Requests.", labels=("call", "status"))
    for values in [("GET /", "200"), ("GET /", "404"), ("GET /", "200")]:
        count(*values)
    assert await scrape(metrics) == {"requests_total{GET /,200}": 2, "requests_total{GET /,404}": 1}
    with pytest.raises(ValueError, match="label"):
        count("GET /")


async def test_external_counter_reads_current_counts(metrics: Metrics) -> None:
    hits = {"picture": 0, "not modified": 2}
    metrics.external_counter("response_cache_hits_total", "Hits.", label="kind", counts=hits)
    assert await scrape(metrics) == {
        "response_cache_hits_total{picture}": 0,
        "response_cache_hits_total{not modified}": 2,
    }
    hits["picture"] += 5
    assert (await scrape(metrics))["response_cache_hits_total{picture}"] == 5


async def test_gauge_reads_callbacks_at_scrape(metrics: Metrics) -> None:
    level, is_up = [1.0], False
    metrics.gauge(
        "level", "Level.", label="of", callbacks={"a": lambda: level[-1], "b": lambda: is_up}
    )
    assert await scrape(metrics) == {"level{a}": 1, "level{b}": 0}
    level.append(7.5)
    is_up = True
    assert await scrape(metrics) == {"level{a}": 7.5, "level{b}": 1}


async def test_unlabelled_gauge_reads_callback(metrics: Metrics) -> None:
    unfinished = [3]
    metrics.unlabelled_gauge("unfinished", "Unfinished.", callback=lambda: unfinished[-1])
    assert await scrape(metrics) == {"unfinished{}": 3}
    unfinished.append(0)
    assert await scrape(metrics) == {"unfinished{}": 0}


async def test_histogram_counts_by_bucket(metrics: Metrics) -> None:
    observe = metrics.histogram("request_seconds", "Durations.", label="call")
    for seconds in (0.0005, 0.3, 3.4, 11):
        observe("GET /", seconds)
    samples = await scrape(metrics)
    assert samples.pop("request_seconds_count{GET /}") == 4
    assert samples.pop("request_seconds_sum{GET /}") == pytest.approx(14.7005)
    buckets = {key.partition(",")[2].rstrip("}"): value for key, value in samples.items()}
    assert {le: buckets[le] for le in ("0.001", "0.25", "0.5", "3.5", "10.0", "+Inf")} == {
        "0.001": 1,
        "0.25": 1,
        "0.5": 2,
        "3.5": 3,
        "10.0": 3,
        "+Inf": 4,
    }
    assert list(buckets.values()) == sorted(buckets.values())


async def test_metrics_instances_are_independent() -> None:
    first, second = Metrics(), Metrics()
    first.counter("stored_total", "Stored.", labels="outcome")("stored")
    second.counter("stored_total", "Stored.", labels="outcome", label_values=["stored"])
    assert await scrape(first) == {"stored_total{stored}": 1}
    assert await scrape(second) == {"stored_total{stored}": 0}
    assert [
        metric.name for metric in REGISTRY.collect() if metric.name.startswith("banners_")
    ] == []


async def test_metrics_duplicate_name_raises(metrics: Metrics) -> None:
    metrics.counter("stored_total", "Stored.", labels="outcome")
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.histogram("stored_total", "Seconds.", label="outcome")


async def test_metrics_app_returns_prometheus_text_format(metrics: Metrics) -> None:
    evil = 'a"b\\c\nd{e="f"} 7'
    metrics.counter("odd_total", 'Odd: "\\\n#.', labels="kind")(evil)
    response = await get(metrics.app, "/whatever")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    (odd,) = [sample for sample in samples_in(response.text) if sample.name == "banners_odd_total"]
    assert (odd.labels, odd.value) == ({"kind": evil}, 1)


async def test_metrics_app_returns_openmetrics_if_accepted(metrics: Metrics) -> None:
    response = await get(metrics.app, accept="application/openmetrics-text; version=1.0.0")
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


async def test_metrics_include_process_and_gc(metrics: Metrics) -> None:
    samples = await scrape(metrics, prefix="p")
    assert samples["process_resident_memory_bytes{}"] > 1 << 20
    assert any(key.startswith("python_gc_") for key in samples)
