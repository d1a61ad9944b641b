"""What Prometheus may ask for, read as Prometheus reads it."""

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


async def scrape(metrics: Metrics, *, of: str = "banners_") -> dict[str, float]:
    """Every sample whose name begins so, as `name{values of its labels}`."""
    text = (await get(metrics.app)).text
    return {
        f"{one.name.removeprefix('banners_')}{{{','.join(one.labels.values())}}}": one.value
        for one in samples_in(text)
        if one.name.startswith(of) and not one.name.endswith("_created")
    }


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


async def test_kinds_stand_there_from_the_start_with_0(metrics: Metrics) -> None:
    count = metrics.counter("drawn_total", "Drawn.", labels="by", label_values=("renderer", "self"))
    assert await scrape(metrics) == {"drawn_total{renderer}": 0, "drawn_total{self}": 0}
    count("self")
    count("self")
    assert await scrape(metrics) == {"drawn_total{renderer}": 0, "drawn_total{self}": 2}


async def test_a_kind_that_nobody_foresaw_is_counted_too(metrics: Metrics) -> None:
    count = metrics.counter("refused_total", "Refused.", labels="reason")
    assert await scrape(metrics) == {}
    count("too old")
    assert await scrape(metrics) == {"refused_total{too old}": 1}


async def test_a_counter_can_have_two_labels(metrics: Metrics) -> None:
    count = metrics.counter("requests_total", "Requests.", labels=("call", "status"))
    for kind in [("GET /", "200"), ("GET /", "404"), ("GET /", "200")]:
        count(*kind)
    assert await scrape(metrics) == {"requests_total{GET /,200}": 2, "requests_total{GET /,404}": 1}
    with pytest.raises(ValueError, match="label"):
        count("GET /")


async def test_what_somebody_else_counts_is_read_when_it_is_asked_for(metrics: Metrics) -> None:
    hits = {"picture": 0, "not modified": 2}
    metrics.external_counter("response_cache_hits_total", "Remembered.", label="kind", counts=hits)
    assert await scrape(metrics) == {
        "response_cache_hits_total{picture}": 0,
        "response_cache_hits_total{not modified}": 2,
    }
    hits["picture"] += 5
    assert (await scrape(metrics))["response_cache_hits_total{picture}"] == 5


async def test_a_gauge_is_read_when_it_is_asked_for(metrics: Metrics) -> None:
    level, is_up = [1.0], False
    metrics.gauge(
        "level", "Level.", label="of", callbacks={"a": lambda: level[-1], "b": lambda: is_up}
    )
    assert await scrape(metrics) == {"level{a}": 1, "level{b}": 0}
    level.append(7.5)
    is_up = True
    assert await scrape(metrics) == {"level{a}": 7.5, "level{b}": 1}


async def test_a_single_number_needs_no_label(metrics: Metrics) -> None:
    unfinished = [3]
    metrics.unlabelled_gauge("unfinished", "Unfinished.", callback=lambda: unfinished[-1])
    assert await scrape(metrics) == {"unfinished{}": 3}
    unfinished.append(0)
    assert await scrape(metrics) == {"unfinished{}": 0}


async def test_durations_are_counted_in_buckets(metrics: Metrics) -> None:
    observe = metrics.histogram("request_seconds", "Durations.", label="call")
    for seconds in (0.0005, 0.3, 3.4, 11):
        observe("GET /", seconds)
    found = await scrape(metrics)
    assert found.pop("request_seconds_count{GET /}") == 4
    assert found.pop("request_seconds_sum{GET /}") == pytest.approx(14.7005)
    buckets = {key.partition(",")[2].rstrip("}"): value for key, value in found.items()}
    assert {le: buckets[le] for le in ("0.001", "0.25", "0.5", "3.5", "10.0", "+Inf")} == {
        "0.001": 1,
        "0.25": 1,
        "0.5": 2,
        "3.5": 3,
        "10.0": 3,
        "+Inf": 4,
    }
    assert list(buckets.values()) == sorted(buckets.values())


async def test_two_services_in_one_process_do_not_mix_their_numbers() -> None:
    one, other = Metrics(), Metrics()
    one.counter("stored_total", "Stored.", labels="outcome")("stored")
    other.counter("stored_total", "Stored.", labels="outcome", label_values=["stored"])
    assert await scrape(one) == {"stored_total{stored}": 1}
    assert await scrape(other) == {"stored_total{stored}": 0}
    assert [one.name for one in REGISTRY.collect() if one.name.startswith("banners_")] == []


async def test_the_same_name_twice_is_a_mistake(metrics: Metrics) -> None:
    metrics.counter("stored_total", "Stored.", labels="outcome")
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.histogram("stored_total", "Seconds.", label="outcome")


async def test_what_is_answered_is_the_format_that_prometheus_reads(metrics: Metrics) -> None:
    evil = 'a"b\\c\nd{e="f"} 7'
    metrics.counter("odd_total", 'Odd: "\\\n#.', labels="kind")(evil)
    answer = await get(metrics.app, "/whatever")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    (odd,) = [one for one in samples_in(answer.text) if one.name == "banners_odd_total"]
    assert (odd.labels, odd.value) == ({"kind": evil}, 1)


async def test_openmetrics_is_answered_to_who_asks_for_it(metrics: Metrics) -> None:
    answer = await get(metrics.app, accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


async def test_the_process_itself_is_measured_too(metrics: Metrics) -> None:
    found = await scrape(metrics, of="p")
    assert found["process_resident_memory_bytes{}"] > 1 << 20
    assert any(key.startswith("python_gc_") for key in found)
