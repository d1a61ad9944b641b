"""The page of a permanent banner and its picture for link previews, served and in a browser."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import httpx2
import pytest

from github_banners.drawing.open_graph import draw_open_graph, read_texts
from github_banners.drawing.png import to_png
from tests.acceptance.processes import Running, environment, prepared_data_dir, running
from tests.png_size import read_png_size

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSER = "text/html,application/xhtml+xml,image/avif,*/*;q=0.8"
IMAGE = "image/avif,image/webp,image/svg+xml,image/*,*/*;q=0.8"
TITLE = '"><script>alert(1)</script>'

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with prepared_data_dir(demo=True) as folder:
        yield folder


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Running]:
    with running("serve", "--demo", env=environment(PORT="0", DATA_DIR=str(folder))) as served:
        yield served


def create(service: Running, **options: str) -> str:
    body = {"username": "mia-maintains", **options}
    path: str = httpx2.post(service.url + "/banners", json=body, timeout=15).json()["url"]
    return path


def get(url: str, **headers: str) -> httpx2.Response:
    renamed = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.get(url, headers=renamed, timeout=15, trust_env=False)


def properties(page: str) -> dict[str, str]:
    """Return the contents of the meta elements by their `property` or `name`."""
    meta = re.findall(r'<meta (?:property|name)="([^"]+)" content="([^"]*)">', page)
    return {name: unescape(content) for name, content in meta}


def test_page_has_open_graph_properties(service: Running) -> None:
    path = create(service, type="dark", layout="compact")
    page = get(f"{service.url}{path}/", accept=BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    meta = properties(page.text)
    numbers = get(f"{service.url}{path}.json").json()
    assert f"(@{numbers['username']})" in meta["og:title"]
    assert f"{numbers['stats']['total_stars']:,} stars" in meta["og:description"]
    assert meta["og:url"] == f"{service.url}{path}/"
    assert meta["og:type"] == "website"
    assert meta["twitter:card"] == "summary_large_image"
    assert (meta["og:image:width"], meta["og:image:height"]) == ("1200", "630")
    picture = get(meta["og:image"])
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert read_png_size(picture.content) == (1200, 630)
    # A second may pass between the two responses.
    of_page, of_picture = (
        re.sub(r"max-age=\d+", "", response.headers["cache-control"], count=1)
        for response in (page, picture)
    )
    assert of_picture == of_page
    assert f'href="https://github.com/{numbers["username"]}"' in page.text


@pytest.mark.parametrize(
    ("options", "title", "number"),
    [
        ({"layout": "activity"}, "(@mia-maintains)", "contributions in the last year"),
        ({"layout": "repository", "repo": "simple-kernel"}, "/simple-kernel", "stars"),
        ({"layout": "languages", "locale": "ar"}, "(@mia-maintains)", "TypeScript"),
        ({"layout": "card", "show": "commits,issues,followers"}, "Mia", "followers"),
    ],
    ids=["activity", "repository", "languages", "show"],
)
def test_page_and_picture_are_those_of_the_banner(
    service: Running, options: dict[str, str], title: str, number: str
) -> None:
    url = service.url + create(service, type="dark", **options)
    banner = get(f"{url}.svg").content
    texts = read_texts(banner)
    assert title in texts.title
    assert number in texts.description
    page = get(f"{url}/", accept=BROWSER).text
    meta = properties(page)
    assert (meta["og:title"], meta["og:description"]) == texts
    assert meta["og:image:alt"] == meta["description"] == texts.description
    body = unescape(page.partition("<body>")[2])
    assert f"<h1><bdi>{texts.title}</bdi></h1>" in body
    assert f"<p>{texts.description}</p>" in body
    assert get(f"{url}/og.png").content == to_png(draw_open_graph(banner))


def test_page_is_the_same_for_crawlers_and_revalidated(service: Running) -> None:
    url = f"{service.url}{create(service)}/"
    page = get(url, accept="*/*", user_agent="Slackbot-LinkExpanding 1.0")
    assert page.text == get(url, accept=BROWSER).text
    again = get(url, accept=BROWSER, if_none_match=page.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    for target in (url, f"{url}og.png"):
        head = httpx2.head(target, timeout=15, trust_env=False)
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 500


def test_page_for_image_clients_is_the_banner(service: Running) -> None:
    path = create(service)
    banner = get(f"{service.url}{path}", accept=IMAGE)
    for headers in ({"accept": IMAGE}, {"accept": "*/*", "sec_fetch_dest": "image"}):
        drawn = get(f"{service.url}{path}/", **headers)
        assert drawn.content == banner.content
        assert "Sec-Fetch-Dest" in drawn.headers["vary"]
    assert get(f"{service.url}/banners/preview/?username=mia-maintains").content.startswith(b"<svg")


def test_page_hostile_title_is_escaped(service: Running) -> None:
    path = create(service, title=TITLE)
    page = get(f"{service.url}{path}/", accept=BROWSER)
    assert "<script" not in page.text
    assert TITLE in properties(page.text)["og:title"]


def test_page_hostile_host_is_not_used(service: Running) -> None:
    path = create(service)
    page = get(f"{service.url}{path}/", accept=BROWSER, host='a"><b>', x_forwarded_proto="https")
    assert page.status_code == 400 or properties(page.text)["og:url"] == f"{path}/"
    page = get(f"{service.url}{path}/", host="banners.example:81", x_forwarded_proto="https")
    # Only trusted proxies may say that the client's connection is encrypted.
    assert properties(page.text)["og:url"] == f"http://banners.example:81{path}/"


def test_unknown_banner_has_a_page_and_a_picture(service: Running) -> None:
    page = get(f"{service.url}/banners/nobody-at-all/", accept=BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "No banner of this name" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert "og:image" not in properties(page.text)
    picture = get(f"{service.url}/banners/nobody-at-all/og.png")
    assert (picture.status_code, read_png_size(picture.content)) == (200, (1200, 630))
    drawn = get(f"{service.url}/banners/nobody-at-all/", accept=IMAGE)
    assert ET.fromstring(drawn.content).tag.endswith("svg")


def test_metrics_name_page_and_picture(service: Running) -> None:
    path = create(service)
    for suffix in ("/", "/og.png"):
        get(f"{service.url}{path}{suffix}", accept=BROWSER)
    metrics = get(f"{service.url}/metrics").text
    for label in ("GET /banners/{name}/", "GET /banners/{name}/og.png"):
        assert f'banners_requests_total{{call="{label}",status="200"}}' in metrics


@pytest.mark.browser
def test_page_in_browser_shows_banner_without_errors(service: Running, browser: "Browser") -> None:
    path = create(service, type="auto", locale="ar")
    errors: list[str] = []
    page = browser.new_page(viewport={"width": 320, "height": 640})
    page.on("console", lambda message: errors.append(message.text))
    page.goto(f"{service.url}{path}/")
    assert page.evaluate("document.images[0].naturalWidth") == 846
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).fontSize") != "32px"
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert page.get_attribute("html", "dir") == "rtl"
    links: Any = page.evaluate("[...document.links].map(link => link.href)")
    assert links == ["https://github.com/mia-maintains", f"{service.url}/"]
    assert errors == []
    page.close()
