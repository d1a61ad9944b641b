"""
Requests of READMEs, proxies and attackers: one case for each row of the field reports on HTTP.

A row is a request to a real server and its expected response. Ids with `E` come from reports on
environments, `N` from later findings, `F` from attacks.
"""

import asyncio
import ipaddress
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from github_banners.api.admission import RateLimiter, client_address
from github_banners.errors import TooManyRequests, UnknownUser
from github_banners.options import candidate_banner_names, parse_options
from github_banners.serving.framework import Content
from github_banners.serving.worker_process import MAX_QUEUE
from tests.acceptance.processes import Running, environment, free_port, prepared_data_dir, running
from tests.unit.api.test_png_converter import PngConverterHarness
from tests.unit.stats.test_snapshots import MAX_BYTES_PER_NAME, measure_bytes_per_name

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(60)]

MIA = "/banners/preview?username=mia-maintains"
POLLY = "/banners/preview?username=polly-glot"
SVG, PNG, JSON = "image/svg+xml; charset=utf-8", "image/png", "application/json"
HTML = "text/html; charset=utf-8"
MAX_BANNERS = 4
SLOW_CLIENTS, MAX_BYTES_PER_SLOW_CLIENT = 300, 50_000


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    """The whole service, with a base path and behind a proxy."""
    port = free_port()
    with prepared_data_dir(demo=True) as folder:
        env = environment(
            PORT=str(port),
            DATA_DIR=str(folder),
            PUBLIC_URL="https://example.org/gh",
            TRUSTED_PROXIES="127.0.0.0/8",
            MAX_BANNERS_PER_USER=str(MAX_BANNERS),
            RATE_LIMIT_RPS="500",
            GITHUB_TOKENS="ghp_sandbox",
        )
        with running("serve", "--demo", env=env) as served:
            # Its output names the public URL, which does not exist.
            yield Running(served.process, f"http://127.0.0.1:{port}", served.errors)


@pytest.fixture(scope="module")
def http(service: Running) -> Iterator[httpx2.Client]:
    limits = httpx2.Limits(max_connections=64)
    with httpx2.Client(base_url=service.url, timeout=15, trust_env=False, limits=limits) as client:
        yield client


class Row(NamedTuple):
    """A GET request and its expected response."""

    id: str
    target: str
    status: int
    media_type: str
    headers: dict[str, str] | None = None
    check: Callable[[httpx2.Response], bool] = lambda _: True


def has_fields(**fields: Any) -> Callable[[httpx2.Response], bool]:
    """Return a check that a JSON response has these fields."""
    return lambda response: fields.items() <= response.json().items()


def contains(text: str) -> Callable[[httpx2.Response], bool]:
    return lambda response: text in response.text


CAMO = {"user-agent": "github-camo (876de43e)"}
NO_USER = has_fields(error="user doesn't exist")
ROWS = [
    *(
        Row(f"E1 GitHub decides about the login {login}", f"/banners/preview?username={login}", 404,
            JSON, None, NO_USER)
        for login in ("gil--", "p-", "a--b", "-a", "_a", "a__b", "-")
    ),
    Row("E1 a name with a hyphen first is a name", "/banners/-p--dark", 404, JSON, None,
        has_fields(error="banner doesn't exist")),
    Row("E14 the bare path", "/gh", 200, HTML, None, contains('href="/gh/page/page.')),
    Row("E14 the bare path, stripped", "/", 200, HTML, None, contains('href="/gh/page/page.')),
    *(
        Row(f"E14 {name}", name, 200, media_type, None, check)
        for prefix in ("", "/gh")
        for name, media_type, check in (
            (f"{prefix}/docs", HTML, contains('src="/gh/docs/page.js"')),
            (f"{prefix}/docs/", HTML, contains('spec-url="/gh/docs/openapi')),
            (f"{prefix}/docs/page.js", "text/javascript; charset=utf-8", contains("THEMES")),
            (f"{prefix}/docs/openapi.json", JSON, has_fields(servers=[{"url": "/gh"}])),
            (f"{prefix}/page/sample.svg", SVG, contains("Mira Okafor")),
            (f"{prefix}{MIA}", SVG, contains("<svg")),
            (f"{prefix}/healthz", JSON, has_fields(status="alive")),
        )
    ),
    Row("E14 an explanation names the path", "/gh/banners/nobody-dark.svg", 200, SVG, None,
        contains("example.org&#x2f;gh")),
    Row("E17 an empty value is the default", f"{MIA}&theme=&layout=&radius=&bg_color=&format=", 200,
        SVG),
    Row("E17 a theme that nobody has", f"{MIA}&theme=klingon", 400, JSON, None,
        has_fields(error="invalid banner type", field="type")),
    *(
        Row(f"images: {name}", f"/banners/preview?username=no-such{query}", 200, SVG, headers)
        for name, query, headers in (
            ("camo that accepts anything", "", {**CAMO, "accept": "*/*"}),
            ("an <img> of a browser", "", {"accept": "*/*", "sec-fetch-dest": "image"}),
            ("format=svg", "&format=svg", None),
            ("format=SVG after &amp;", "&amp;format=SVG", None),
        )
    ),
    Row("images: a program that accepts anything", "/banners/preview?username=no-such", 404, JSON),
    Row("N11 an explanation by format=png", "/banners/preview?username=no-such&format=png", 200, PNG),
    Row("N11 an explanation by .png", "/banners/nosuch.png", 200, PNG),
    Row("N11 a wrong option as PNG", f"{MIA}&radius=99&format=png", 200, PNG),
    Row("N11 an odd path as PNG", "/banners/a/b.png", 200, PNG),
    Row("N15 misspelt options in numbers", f"{MIA}&format=json&typ=dark&layuot=card&v=1", 200, JSON,
        None, has_fields(unknown={"typ": "type", "layuot": "layout"})),
    Row("N15 misspelt options in an error", f"{MIA}&hide_border=true&radius=99&format=json", 400,
        JSON, None, has_fields(field="radius", unknown={"hide_border": "border"})),
    Row("N15 options that are strange to us", f"{MIA}&format=json&utm_source=x&ref=y", 200, JSON,
        None, lambda r: "unknown" not in r.json()),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_get_reported_target_returns_status_and_media_type(http: httpx2.Client, row: Row) -> None:
    response = http.get(
        row.target, headers={"accept": "*/*", "user-agent": "", **(row.headers or {})}
    )
    assert (response.status_code, response.headers.get("content-type", "")) == (
        row.status,
        row.media_type,
    )
    assert row.check(response), response.text
    if row.media_type == PNG:
        assert response.content.startswith(b"\x89PNG")


SAME = [
    ("E17 case, underscores, missing hyphens", "theme=Tokyo_Night", "theme=tokyonight"),
    ("E17 a theme of another service", "theme=radical", "type=rose-pine"),
    ("E17 a theme for two grounds", "theme=transparent", "type=auto"),
    ("E17 a tag of a language", "locale=pt_BR", "locale=pt-br"),
    ("E17 a tag with a script", "locale=zh-Hant-HK", "locale=zh-tw"),
    ("E17 a locale of a system", "locale=de_DE.UTF-8", "locale=de"),
    ("E17 an empty type beside a theme", "type=&theme=dark", "type=dark"),
    ("E23 a language in quotes", 'hide_langs="Go"', "hide_langs=go"),
    ("E23 a list as a program writes it", 'hide_langs=["PHP","Go"]', "hide_langs=go,php"),
    ("entities: &amp;", "v=1&amp;type=dark&amp;layout=card", "type=dark&layout=card"),
    ("entities: decimal", "v=1&%2338;type=dark", "type=dark"),
    ("entities: hexadecimal", "v=1&%23x26;type=dark", "type=dark"),
    ("entities: twice", "v=1&amp;amp;type=dark", "type=dark"),
    ("entities: before the first", "amp;type=dark", "type=dark"),
]


@pytest.mark.parametrize(("variant", "plain"), [row[1:] for row in SAME], ids=[r[0] for r in SAME])
def test_option_spellings_draw_the_same_banner(
    http: httpx2.Client, variant: str, plain: str
) -> None:
    default, same, other = [
        http.get(f"{POLLY}&{query}").headers["etag"] for query in ("", plain, variant)
    ]
    assert same == other != default
    # And again, now that both are cached.
    assert http.get(f"{POLLY}&{variant}").headers["etag"] == same


def exchange(service: Running, request: bytes) -> bytes:
    """Send raw bytes, and read until the server closes the connection."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


HOSTS = ["a:b", "x:99999", "x:-1", "x:80:80", "[", "[::1", "user@host", "x:abc", "é"]
TARGETS = {
    "a picture": f"GET {MIA}&v=%s",
    "numbers": f"GET {MIA}&format=json",
    "an unknown user": "GET /banners/preview?username=no-such",
    "a wrong option": f"GET {MIA}&radius=99",
    "an unknown banner": "GET /banners/no-such-dark",
    "an unknown path": "GET /nothing",
    "a slash at the end": "GET /banners/preview/?username=mia-maintains",
    "a wrong method": "DELETE /banners/preview",
    "the page": "GET /docs/",
    "the start": "GET /",
    "health": "GET /readyz",
    "a banner to make": "POST /banners",
}


@pytest.mark.parametrize("accept", ["image/*", "*/*"])
@pytest.mark.parametrize("target", TARGETS.values(), ids=[f"E8, F3 {name}" for name in TARGETS])
def test_invalid_host_header_gets_no_server_error(
    service: Running, target: str, accept: str
) -> None:
    for number, host in enumerate(HOSTS):
        line = target.replace("%s", str(number))
        head = f"{line} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        status = int(exchange(service, head.encode()).split()[1])
        assert status < 500, host


CHUNKS = [b"-1\r\n", b"f" * 18 + b"\r\n", b" 5\r\n", b"5\nhello"]
CHUNKS += [b"5;" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n\r\n"]


@pytest.mark.parametrize("chunk", CHUNKS, ids=lambda chunk: f"F4 {chunk[:12]!r}")
def test_malformed_body_gets_client_error(service: Running, chunk: bytes) -> None:
    head = b"POST /banners HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    response = exchange(service, head + chunk)
    assert response.split()[1:2] in ([b"400"], [b"431"])


@pytest.mark.row("F4")
def test_disconnect_in_body_counts_no_server_error(service: Running, http: httpx2.Client) -> None:
    host, _, port = service.url.removeprefix("http://").partition(":")
    head = b"POST /banners HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    for _ in range(5):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head)
    http.get("/healthz")
    failures = [
        line
        for line in http.get("/metrics").text.splitlines()
        if "banners_requests_total" in line and 'status="5' in line
    ]
    assert failures == []


def post(http: httpx2.Client, body: bytes) -> httpx2.Response:
    return http.post("/banners", content=body, headers={"content-type": JSON})


@pytest.mark.row("F5")
def test_banners_beyond_the_limit_get_409(http: httpx2.Client) -> None:
    bodies = [
        json.dumps({"username": "sam-studies", "radius": radius}).encode()
        for radius in range(MAX_BANNERS + 3)
    ]
    with ThreadPoolExecutor(len(bodies)) as pool:
        responses = list(pool.map(lambda body: post(http, body), bodies))
    created = [
        (body, response)
        for body, response in zip(bodies, responses, strict=True)
        if response.status_code == 201
    ]
    refused = [response for response in responses if response.status_code == 409]
    assert (len(created), len(refused)) == (MAX_BANNERS, 3)
    assert all(response.json() == {"error": "too many banners"} for response in refused)
    for body, response in created:
        again = post(http, body)
        assert (again.status_code, again.json()) == (200, response.json())
        assert http.get(response.json()["url"] + ".svg").headers["content-type"] == SVG
    assert http.get("/banners/preview?username=sam-studies&radius=19").status_code == 200


@pytest.mark.row("F6")
async def test_unknown_names_memory_is_bounded() -> None:
    assert await measure_bytes_per_name(UnknownUser, names=300) < MAX_BYTES_PER_NAME


def resident_bytes(service: Running) -> int:
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@pytest.mark.row("F7")
def test_clients_that_do_not_read_use_little_memory(service: Running, http: httpx2.Client) -> None:
    bundle = http.get("/docs").text.partition('src="/gh/docs/rapidoc')[2].partition('"')[0]
    path = f"/docs/rapidoc{bundle}"
    assert len(http.get(path).content) > 500_000
    host, _, port = service.url.removeprefix("http://").partition(":")
    before = resident_bytes(service)
    with ExitStack() as stack:
        for _ in range(SLOW_CLIENTS):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect((host, int(port)))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert http.get("/healthz").status_code == 200
        assert resident_bytes(service) - before < SLOW_CLIENTS * MAX_BYTES_PER_SLOW_CLIENT


@pytest.mark.row("F13")
async def test_one_client_uses_half_of_the_png_queue() -> None:
    harness = PngConverterHarness()
    harness.worker.may_finish.clear()
    pictures = [Content.svg(b"<svg>%d</svg>" % number) for number in range(48)]
    flood = [asyncio.create_task(harness.draw(svg, client="flood")) for svg in pictures[4:]]
    await asyncio.sleep(0)
    others = [asyncio.create_task(harness.draw(svg, client="other")) for svg in pictures[:4]]
    await asyncio.sleep(0)
    harness.worker.may_finish.set()
    assert all(await asyncio.gather(*others))
    assert sum(png is not None for png in await asyncio.gather(*flood)) <= MAX_QUEUE // 2


@pytest.mark.row("F14")
def test_plain_name_of_a_shorter_login_stays_free() -> None:
    owner = candidate_banner_names("h-ok", parse_options({"type": "auto-nord"}), owner_id=1)
    other = candidate_banner_names("h-ok-auto", parse_options({"type": "nord"}), owner_id=2)
    assert owner[0] == "h-ok-auto-nord"
    assert not {*owner} & {*other}


@pytest.mark.row("N10")
def test_client_addresses_with_ports_are_distinct() -> None:
    """See tests/unit/api/test_rate_limit.py for all spellings."""
    trusted = [ipaddress.ip_network("10.0.0.0/8")]
    variant = ["1.2.3.4:4711", "1.2.3.5:4711", "[2001:db8::1]:443", '"[2001:db8:0:1::1]"']
    assert len({client_address("10.0.0.1", address, trusted=trusted) for address in variant}) == 4


@pytest.mark.row("N13")
def test_body_with_byte_order_mark_is_accepted(http: httpx2.Client) -> None:
    body = b'\xef\xbb\xbf{"username": "mia-maintains", "layuot": "card"}'
    response = post(http, body)
    assert response.status_code == 201
    assert response.json() == {
        "url": "/gh/banners/mia-maintains-default",
        "unknown": {"layuot": "layout"},
    }
    assert response.headers["location"] == "/gh/banners/mia-maintains-default"
    for path in ("/gh/banners/Mia-Maintains-Default", "/banners/MIA-maintains-default.svg"):
        assert http.get(path).headers["content-type"] == SVG


@pytest.mark.row("F23")
def test_rate_limit_applies_per_address() -> None:
    rate_limiter = RateLimiter(per_second=10, monotonic=lambda: 0.0)
    for _ in range(20):
        rate_limiter.acquire("203.0.113.9")
    with pytest.raises(TooManyRequests):
        rate_limiter.acquire("203.0.113.9")
    rate_limiter.acquire("203.0.113.10")
