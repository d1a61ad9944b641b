"""The API documentation page, in a browser and over HTTP."""

import gzip
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import httpx2
import pytest

from github_banners import __version__
from github_banners.api.openapi import build_document
from github_banners.api.public_routes import FORMATS
from github_banners.options import OPTIONS
from tests.acceptance.processes import Running, environment, prepared_data_dir, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BUNDLE = "/docs/rapidoc-9.3.8.min.js"
FILES = ["/docs", "/docs/page.js", BUNDLE, "/docs/openapi.json"]
DOCUMENT = build_document(formats=FORMATS, version=__version__)

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with prepared_data_dir(demo=True) as folder:
        env = environment(PORT="0", DATA_DIR=str(folder))
        with running("serve", "--demo", env=env) as served:
            yield served


@pytest.mark.browser
@pytest.mark.parametrize(
    ("scheme", "background"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(13, 17, 23)")]
)
def test_docs_page_shows_every_operation_from_own_host(
    service: Running, browser: "Browser", scheme: Literal["light", "dark"], background: str
) -> None:
    page = browser.new_page(color_scheme=scheme)
    errors: list[str] = []
    requested_urls: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requested_urls.append(request.url))
    page.goto(service.url + "/docs")
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            # RapiDoc replaces braces in the ids of its sections.
            section = page.locator(f'[id="{method}-{re.sub("[{}]", "-", path)}"]')
            section.get_by_text(operation["summary"]).wait_for()
    fields = page.locator('[id="get-/banners/preview"] [data-pname]')
    named = {field.get_attribute("data-pname") for field in fields.all()}
    assert {"username", *OPTIONS, "format"} <= named
    shown = page.locator("rapi-doc").evaluate("page => getComputedStyle(page).backgroundColor")
    assert shown == background
    assert sorted(requested_urls) == sorted(service.url + path for path in FILES)
    assert errors == []
    page.close()


@pytest.mark.browser
def test_docs_page_try_button_shows_banner(service: Running, browser: "Browser") -> None:
    page = browser.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.goto(service.url + "/docs")
    section = page.locator('[id="get-/banners/preview"]')
    section.locator('[data-pname="username"]').first.fill("mia-maintains")
    section.get_by_role("button", name="Try").click()
    section.get_by_text("Response Status: OK:200").wait_for()
    picture = section.locator("img")
    picture.wait_for()
    assert picture.evaluate("async picture => (await picture.decode(), picture.naturalWidth)") > 0
    assert errors == []
    page.close()


@pytest.mark.parametrize("path", FILES)
def test_docs_file_has_etags_and_gzip(service: Running, path: str) -> None:
    plain = service.get(path, accept_encoding="identity")
    zipped = service.get(path, accept_encoding="gzip")
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.content == plain.content
    assert zipped.headers["etag"] != plain.headers["etag"]
    assert plain.headers["vary"] == "Accept-Encoding"
    again = service.get(path, accept_encoding="gzip", if_none_match=zipped.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    head = httpx2.head(service.url + path, headers={"accept-encoding": "identity"})
    assert (head.status_code, head.headers["etag"]) == (200, plain.headers["etag"])


@pytest.mark.parametrize("path", FILES)
def test_docs_file_security_headers_forbid_other_origins(service: Running, path: str) -> None:
    headers = service.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    assert "unsafe-eval" not in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_docs_file_only_versioned_bundle_is_immutable(service: Running) -> None:
    ages = {path: service.get(path).headers["cache-control"] for path in FILES}
    assert ages.pop(BUNDLE) == "public, max-age=31536000, immutable"
    assert set(ages.values()) == {"no-cache"}


def test_docs_openapi_returns_document(service: Running) -> None:
    response = service.get("/docs/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == DOCUMENT


@pytest.mark.parametrize(
    "name", ["nothing.js", "__init__.py", "..%2Fapp.py", "rapidoc-LICENSE.txt", "", "."]
)
def test_docs_unknown_file_gets_404(service: Running, name: str) -> None:
    response = service.get(f"/docs/{name}")
    is_page = response.content == service.get("/docs").content
    assert response.status_code == 404 or (name in {"", "."} and is_page)


def test_docs_bundle_compressed_is_small(service: Running) -> None:
    with httpx2.stream(
        "GET", service.url + BUNDLE, headers={"accept-encoding": "gzip"}
    ) as response:
        raw = b"".join(response.iter_raw())
    assert len(raw) < 250_000
    assert b"RapiDoc 9.3.8" in gzip.decompress(raw)[:200]
