"""The configuration of the gateway in a real nginx, in front of a real service."""

import re
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from github_banners.drawing import explain
from github_banners.errors import Unavailable
from github_banners.options import BannerOptions, Theme
from tests.acceptance.breakable_backends import BreakableSandbox, frozen
from tests.acceptance.fault_checks import MAX_PICTURE_SECONDS, missing_login, new_login, wait_until
from tests.acceptance.gateway import Gateway, real_ip_directives
from tests.acceptance.image_proxy import ImageProxy
from tests.acceptance.processes import (
    Running,
    environment,
    prepared_data_dir,
    reachable_dir,
    running,
)

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.timeout(120),
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
]

KNOWN = "mia-maintains"
PREVIEW = f"/banners/preview?username={KNOWN}"
METRICS = 'banners_requests_total{call="GET /banners/preview",status="200"}'


@pytest.fixture(scope="module")
def github() -> Iterator[BreakableSandbox]:
    resource = BreakableSandbox()
    resource.start()
    yield resource
    resource.close()


@pytest.fixture(scope="module")
def service(github: BreakableSandbox) -> Iterator[Running]:
    with prepared_data_dir() as folder:
        env = environment(
            PORT="0",
            DATA_DIR=str(folder),
            GITHUB_API_URL=github.url,
            GITHUB_TOKENS="ghp_sandbox",
            TRUSTED_PROXIES="127.0.0.1",
            RATE_LIMIT_RPS="1000",
        )
        with running("serve", env=env) as service:
            yield service


@pytest.fixture(scope="module")
def gateway(service: Running) -> Iterator[Gateway]:
    with reachable_dir() as folder:
        gateway = Gateway(folder, [int(service.url.rpartition(":")[2])])
        assert gateway.find_problems() == ""
        with gateway.run():
            yield gateway


def count_previews(service: Running) -> float:
    """Return how many previews have reached the framework of the service."""
    match = re.search(rf"^{re.escape(METRICS)} (\S+)$", service.get("/metrics").text, re.MULTILINE)
    return float(match[1]) if match else 0.0


def test_gateway_caches_picture(gateway: Gateway) -> None:
    login = new_login()
    path = f"/banners/preview?username={login}"
    first = gateway.get(path, accept="image/*")
    second = gateway.get(path, accept="image/*")
    assert [response.headers["x-cache"] for response in (first, second)] == ["MISS", "HIT"]
    assert first.content == second.content
    assert first.headers["content-type"].startswith("image/svg+xml")
    fresh = gateway.get(path, accept="image/*", if_none_match=first.headers["etag"])
    assert (fresh.status_code, fresh.content) == (304, b"")


def test_gateway_merges_concurrent_requests(
    gateway: Gateway, service: Running, proxy: ImageProxy
) -> None:
    before = count_previews(service)
    url = f"{gateway.url}/banners/preview?username={new_login()}"
    assert all(response.shows_numbers for response in proxy.fetch_all([url] * 30))
    assert count_previews(service) == before + 1


@pytest.mark.parametrize(
    "path",
    [
        "/api?username=LOGIN",
        "/api/top-langs/?username=LOGIN&layout=compact",
        "/?user=LOGIN&theme=dark",
        "/?theme=dark&amp;user=LOGIN",
    ],
)
def test_gateway_caches_urls_of_other_services(gateway: Gateway, path: str) -> None:
    url = path.replace("LOGIN", new_login())
    pictures = [gateway.get(url, accept="image/*") for _ in range(2)]
    assert [picture.headers["x-cache"] for picture in pictures] == ["MISS", "HIT"]
    assert pictures[0].headers["content-type"].startswith("image/svg+xml")
    assert pictures[0].content == pictures[1].content
    missing = gateway.get(path.replace("LOGIN", missing_login()), accept="application/json")
    assert (missing.status_code, missing.json()["error"]) == (404, "user doesn't exist")


def test_gateway_never_caches_json_of_streaks(gateway: Gateway) -> None:
    for _ in range(2):
        response = gateway.get(f"/?user={KNOWN}&type=json", accept="*/*")
        assert response.headers["x-cache"] == "BYPASS"
        assert response.json()["username"] == KNOWN


def test_gateway_forwards_page_without_user(gateway: Gateway) -> None:
    page = gateway.get("/?username=mia-maintains", accept="text/html")
    assert page.headers["content-type"].startswith("text/html")
    assert "x-cache" not in page.headers


def test_gateway_caches_plain_and_gzip_separately(gateway: Gateway) -> None:
    zipped = gateway.get(PREVIEW, accept="image/*", accept_encoding="br, gzip;q=0.5")
    plain = gateway.get(PREVIEW, accept="image/*", accept_encoding="identity")
    assert zipped.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert zipped.content == plain.content


def test_gateway_forwards_page_and_its_picture(gateway: Gateway, service: Running) -> None:
    created = httpx2.post(
        f"{gateway.url}/banners", json={"username": KNOWN}, trust_env=False, timeout=30
    )
    url = created.json()["url"]
    page = gateway.get(f"{url}/", accept="text/html,*/*")
    assert (page.status_code, page.headers["x-cache"]) == (200, "MISS")
    assert f'content="{gateway.url}{url}/og.png"' in page.text
    # While the process that converts starts, pictures may come as SVG, which is not cached.
    png = f"{PREVIEW}&format=png"
    wait_until(lambda: service.get(png).headers["content-type"] == "image/png", limit=60)
    pictures = [gateway.get(f"{url}/og.png", accept="*/*") for _ in range(2)]
    assert [picture.headers["x-cache"] for picture in pictures] == ["MISS", "HIT"]
    assert pictures[1].headers["content-type"] == "image/png"
    # The page is not cached in place of the banner, which image clients get here.
    banner = gateway.get(f"{url}/", accept="image/*")
    assert banner.headers["content-type"].startswith("image/svg+xml")
    missing = gateway.get("/banners/never-made/", accept="text/html,*/*")
    assert (missing.status_code, missing.headers["content-type"][:9]) == (404, "text/html")


def test_gateway_never_caches_json(gateway: Gateway) -> None:
    path = f"{PREVIEW}&format=json"
    for _ in range(2):
        response = gateway.get(path)
        assert response.headers["x-cache"] == "BYPASS"
        assert response.json()["username"] == KNOWN


@pytest.mark.parametrize(
    "path",
    [
        f"/banners/preview%3Fusername={KNOWN}%26b=",
        "/banners/x%20HTTP/1.1%0dX:y.json",
        "/banners/%23x.json",
    ],
)
def test_gateway_forwards_path_unchanged(gateway: Gateway, path: str) -> None:
    response = gateway.get(f"{path}?format=json")
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("application/json")


def test_gateway_waits_longer_for_json_than_for_images(
    gateway: Gateway, github: BreakableSandbox
) -> None:
    with github.slow(3.5):
        paths = [
            f"/banners/preview?username={new_login()}&format={form}" for form in ("json", "JSON")
        ]
        with ThreadPoolExecutor() as pool:
            responses = [*pool.map(gateway.get, paths)]
        for response in responses:
            assert response.status_code == 200
            assert response.json()["stats"]["total_repos"] == 30
        response = gateway.get(f"/banners/{KNOWN}-never-made.json")
    assert (response.status_code, response.json()) == (404, {"error": "banner doesn't exist"})


def test_gateway_sends_plain_to_client_without_gzip(gateway: Gateway) -> None:
    for refusal in ("gzip;q=0", "br, gzip; q=0.0, identity"):
        response = gateway.get(PREVIEW, accept="image/*", accept_encoding=refusal)
        assert "content-encoding" not in response.headers


def test_gateway_shows_banner_created_after_its_explanation(gateway: Gateway) -> None:
    login = new_login()
    path = f"/banners/{login}-dark"
    assert b"No banner of this name" in gateway.get(path, accept="image/*").content
    body = {"username": login, "type": "dark"}
    httpx2.post(gateway.url + "/banners", json=body, timeout=30, trust_env=False)
    assert b" star" in gateway.get(path, accept="image/*").content


def test_gateway_sends_explanation_to_image_clients_only(gateway: Gateway) -> None:
    path = f"/banners/preview?username={missing_login()}"
    drawn = gateway.get(path, accept="image/*")
    assert (drawn.status_code, drawn.headers["x-cache"]) == (200, "MISS")
    variables = gateway.get(path, accept="*/*")
    assert (variables.status_code, variables.json()) == (404, {"error": "user doesn't exist"})
    assert gateway.get(path, accept="image/*").headers["x-cache"] == "HIT"
    renamed = gateway.get("/banners/never-made.svg", accept="*/*")
    assert renamed.headers["content-type"].startswith("image/svg+xml")


def test_gateway_never_caches_temporary_errors(gateway: Gateway, github: BreakableSandbox) -> None:
    path = f"/banners/preview?username={new_login()}"
    with github.failing("502"):
        for _ in range(2):
            drawn = gateway.get(path, accept="image/*")
            assert (drawn.status_code, drawn.headers["x-cache"]) == (200, "MISS")
            assert b" star" not in drawn.content
    wait_until(lambda: b" star" in gateway.get(path, accept="image/*").content, limit=60)


def test_gateway_takes_client_address_from_trusted_proxy(gateway: Gateway) -> None:
    gateway.get("/healthz", X_Forwarded_For="198.51.100.1, 203.0.113.7, 127.0.0.1")
    log = gateway.file.with_name("access.log")
    wait_until(lambda: '"client":"203.0.113.7"' in log.read_text(), limit=60)
    assert "198.51.100.1" not in log.read_text()


@pytest.mark.parametrize(
    ("trusted_proxies", "directives"),
    [
        ("", ""),
        (
            "173.245.48.0/20,2400:cb00::/32",
            (
                "set_real_ip_from 173.245.48.0/20; set_real_ip_from 2400:cb00::/32; "
                "real_ip_header X-Forwarded-For; real_ip_recursive on;"
            ),
        ),
    ],
)
def test_start_gateway_trusts_named_networks(trusted_proxies: str, directives: str) -> None:
    assert real_ip_directives(trusted_proxies) == directives


@pytest.mark.parametrize("wrong", ["cdn.example.com", "10.0.0.1;return", "10.0.0.0/8}"])
def test_start_gateway_refuses_what_is_no_network(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"TRUSTED_PROXIES: '.*' is not a network"):
        real_ip_directives(wrong)


def test_gateway_forwards_post(gateway: Gateway) -> None:
    body = {"username": new_login()}
    created = [
        httpx2.post(gateway.url + "/banners", json=body, timeout=30, trust_env=False)
        for _ in range(2)
    ]
    assert [response.status_code for response in created] == [201, 200]
    assert created[0].headers["location"] == created[1].json()["url"]


@pytest.mark.parametrize(
    "path", ["/metrics", "/readyz", "/preview", "/bannersx", "/banner", "/.env", "/nginx.conf"]
)
def test_gateway_blocks_other_paths(gateway: Gateway, path: str) -> None:
    assert gateway.get(path).status_code == 404


def test_gateway_forwards_public_paths(gateway: Gateway) -> None:
    assert gateway.get("/healthz").json() == {"status": "alive"}
    page = gateway.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    (script,) = re.findall(r'<script type="module" src="([^"]+)"', page.text)
    assert gateway.get(script).headers["content-type"] == "text/javascript; charset=utf-8"
    assert gateway.get("/page/sample.svg?type=dark").content.startswith(b"<svg")
    assert gateway.get("/docs").status_code == 200
    assert "paths" in gateway.get("/docs/openapi.json").json()


def test_gateway_refuses_large_request(gateway: Gateway) -> None:
    url = gateway.url + "/banners"
    body = b'{"username":"' + b"x" * (65 << 10) + b'"}'
    assert httpx2.post(url, content=body, timeout=30, trust_env=False).status_code == 413
    assert gateway.get("/healthz", cookie="x" * 9000).status_code == 400
    assert gateway.get("/banners/" + "x" * 9000).status_code == 414


def test_gateway_serves_picture_in_time_while_service_is_down(
    gateway: Gateway, service: Running, proxy: ImageProxy
) -> None:
    cached = proxy.fetch(gateway.url + PREVIEW)
    assert cached.shows_numbers
    explanation = explain(Unavailable(), options=BannerOptions(theme=Theme.AUTO), host="")
    with frozen(service.process.pid), ThreadPoolExecutor() as pool:
        program_path = f"/banners/preview?username={new_login()}"
        program = pool.submit(gateway.get, program_path, accept="*/*")
        urls = [f"{gateway.url}/banners/preview?username={new_login()}"] * 5
        responses = proxy.fetch_all([*urls, gateway.url + PREVIEW])
        assert [response.body for response in responses] == [explanation] * 5 + [cached.body]
        assert max(response.seconds for response in responses) < MAX_PICTURE_SECONDS
        # Those whose request is forwarded wait until the gateway gives up.
        waited_seconds = min(response.seconds for response in responses[:-1])
        assert responses[-1].seconds < waited_seconds / 2
        response = program.result()
        assert (response.status_code, response.json()) == (503, {"error": "can't get preview"})
    assert service.stop(signal.SIGKILL) == -signal.SIGKILL
    responses = proxy.fetch_all([urls[0], gateway.url + PREVIEW])
    assert [response.body for response in responses] == [explanation, cached.body]
    assert max(response.seconds for response in responses) < waited_seconds / 2
