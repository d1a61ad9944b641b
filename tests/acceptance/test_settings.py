"""The effect of settings on a running service."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from github_banners.settings import Settings
from tests.acceptance.fault_checks import wait_until
from tests.acceptance.processes import Running, environment, free_port, running

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def github() -> Iterator[Running]:
    with running("sandbox", "--port", "0", "--token", "ghp_from_a_file=7") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def service(shared_dir: Path, github: Running) -> Iterator[Running]:
    (shared_dir / "tokens").write_text("ghp_from_a_file\n")
    port = free_port()
    env = environment(
        PORT=str(port),
        DATA_DIR=str(shared_dir),
        BANNERS_STORAGE_URL=(shared_dir / "kept").as_uri(),
        GITHUB_API_URL=github.url + "/api/v3",
        GITHUB_TOKENS_FILE=str(shared_dir / "tokens"),
        PUBLIC_URL="https://banners.example.com/",
        CORS_ORIGINS="example.com",
        TRUSTED_PROXIES="127.0.0.0/8",
        RATE_LIMIT_RPS="1",
        REQUEST_TIMEOUT="1s",
        SOFT_TTL="1s",
        HARD_TTL="1h",
        LOG_LEVEL="DEBUG",
        LOG_FORMAT="json",
    )
    with running("serve", env=env) as service:
        assert service.url.startswith("https://banners.example.com")
        service.url = f"http://127.0.0.1:{port}"
        yield service


def get_preview(service: Running, login: str, *, client: str, **headers: str) -> httpx2.Response:
    path = f"/banners/preview?username={login}&format=json"
    return service.get(path, x_forwarded_for=client, **headers)


def events(service: Running) -> list[dict[str, object]]:
    return [json.loads(line) for line in service.errors if line.startswith("{")]


def test_enterprise_server_gets_token_from_file(service: Running, github: Running) -> None:
    assert get_preview(service, "dev-1", client="10.0.0.1").json()["stats"]["total_repos"] == 30
    assert github.get("/_sandbox/calls").json()["graphql"] >= 1


def until_refused(service: Running, client: str) -> httpx2.Response:
    """Send requests as one client until the rate limit refuses one."""
    responses = (get_preview(service, f"dev-{n}", client=client) for n in range(11, 60))
    return next(response for response in responses if response.status_code != 200)


def test_rate_limit_behind_trusted_proxy_is_per_client(service: Running) -> None:
    refused = until_refused(service, "10.0.0.2")
    assert (refused.status_code, refused.json()) == (429, {"error": "too many requests"})
    assert int(refused.headers["retry-after"]) >= 1
    assert get_preview(service, "dev-16", client="10.0.0.3").status_code == 200
    # The last address in X-Forwarded-For is the one that the proxy has seen.
    assert until_refused(service, "10.9.9.9, 10.0.0.2").status_code == 429
    assert get_preview(service, "dev-17", client="10.9.9.9").status_code == 200


def test_cors_host_without_scheme_allows_http_and_https(service: Running) -> None:
    for origin, allowed in (
        ("https://example.com", "https://example.com"),
        ("http://example.com", "http://example.com"),
        ("https://evil.example", None),
    ):
        response = get_preview(service, "dev-1", client="10.0.0.4", origin=origin)
        assert response.headers.get("access-control-allow-origin") == allowed
    picture = service.get("/banners/preview?username=dev-1", origin="https://evil.example")
    assert picture.headers["access-control-allow-origin"] == "*"


def test_explanation_names_public_url(service: Running) -> None:
    drawn = service.get("/banners/nobody-dark", accept="image/*")
    assert b"banners.example.com" in drawn.content


def test_soft_ttl_sets_when_numbers_are_stale(service: Running) -> None:
    get_preview(service, "dev-21", client="10.0.0.5")
    wait_until(lambda: get_preview(service, "dev-21", client="10.0.0.5").json()["stale"], limit=30)


def test_request_timeout_limits_json_requests(service: Running, github: Running) -> None:
    faults = github.url + "/_sandbox/faults"
    httpx2.put(faults, json={"fail": ["timeout"]}).raise_for_status()
    try:
        start = time.monotonic()
        response = get_preview(service, "dev-31", client="10.0.0.6")
        seconds = time.monotonic() - start
    finally:
        httpx2.put(faults, json={}).raise_for_status()
    assert (response.status_code, response.json()) == (503, {"error": "can't get preview"})
    assert int(response.headers["retry-after"]) >= 1
    assert 0.5 < seconds < Settings().request_timeout.total_seconds() / 2


def test_storage_url_sets_where_drawings_are_stored(service: Running, shared_dir: Path) -> None:
    response = httpx2.post(
        service.url + "/banners",
        json={"username": "dev-41"},
        headers={"x-forwarded-for": "10.0.0.7"},
    )
    assert response.status_code == 201
    stored = shared_dir / "kept" / "dev-41-default.svg"
    wait_until(stored.exists, limit=30)
    assert stored.read_bytes().startswith(b"<svg")


def test_log_lines_are_json_with_debugging_fields(service: Running) -> None:
    get_preview(service, "dev-51", client="10.0.0.8")
    logged = events(service)
    assert any(event["event"] == "github.requested" for event in logged)
    assert all({"timestamp", "level", "event"} <= event.keys() for event in logged)
    assert not [line for line in service.errors if "ghp_" in line]
