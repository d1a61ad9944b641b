"""
READMEs that move from other services: all URLs of `compatible_urls` against a real server.

Each example is requested as an image client does, and compared with the preview it stands for.
"""

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import httpx2
import pytest

from tests.acceptance.processes import environment, prepared_data_dir, running
from tests.unit.compatible_urls import EXAMPLES, Example, preview_for, url_for

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(60)]

CAMO = {"user-agent": "github-camo (876de43e)", "accept": "image/webp,*/*;q=0.8"}
NAMES = {"user": "mia-maintains", "repo": "plain-notes"}
NOT_OFFERED = {"error": "card is not offered"}
SVG, PNG, JSON = "image/svg+xml; charset=utf-8", "image/png", "application/json"


@pytest.fixture(scope="module")
def http() -> Iterator[httpx2.Client]:
    with prepared_data_dir(demo=True) as folder:
        env = environment(
            PORT="0", DATA_DIR=str(folder), RATE_LIMIT_RPS="500", GITHUB_TOKENS="ghp_sandbox"
        )
        with (
            running("serve", "--demo", env=env) as service,
            httpx2.Client(base_url=service.url, timeout=15, trust_env=False) as client,
        ):
            yield client


def read_title(picture: bytes) -> str:
    title = ET.fromstring(picture).find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    return title.text or ""


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.url)
def test_example_is_drawn_as_its_preview(http: httpx2.Client, example: Example) -> None:
    response = http.get(url_for(example, **NAMES), headers=CAMO)
    preview = http.get(preview_for(example, **NAMES), headers=CAMO)
    assert response.status_code == 200
    media_type = example.options.get("format", "svg")
    assert response.headers["content-type"] == {"svg": SVG, "png": PNG, "json": JSON}[media_type]
    assert response.content == preview.content
    assert response.headers.get("etag") == preview.headers.get("etag")
    if media_type == "svg":
        # The title of an explanation is none of these.
        assert re.search(
            r"@mia-maintains|mia-maintains/|Silverthorne", read_title(response.content)
        )


@pytest.mark.parametrize(
    "url",
    ["/api?username=USER", "/api/top-langs/?username=USER", "/api/pin/?username=USER&repo=REPO"],
)
def test_cached_url_is_validated_and_has_no_body_for_head(http: httpx2.Client, url: str) -> None:
    target = url_for(Example(url, {}), **NAMES)
    first = http.get(target, headers=CAMO)
    again = http.get(target, headers={**CAMO, "if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = http.head(f"{target}&v=1", headers=CAMO)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == first.headers["etag"]
    assert http.post(target).status_code == 405


@pytest.mark.parametrize(
    ("url", "title", "status", "problem"),
    [
        ("/api", "Nobody’s name was given", 400, {"field": "username"}),
        ("/?user=", "Nobody’s name was given", 400, {"field": "user"}),
        ("/api?username=a%20b", "GitHub can’t have a user", 400, {"field": "username"}),
        ("/api?username=nobody-of-this-name", "No GitHub user", 404, {}),
        ("/?user=nobody-of-this-name", "No GitHub user", 404, {}),
        ("/api/pin?username=mia-maintains", "No repository was named", 400, {"field": "repo"}),
        ("/api/pin?username=mia-maintains&repo=no", "No repository", 404, {}),
        ("/api/gist?id=bbfce31e0217a3689c8d961a356cb10d", "No “Gist” cards", 404, NOT_OFFERED),
        ("/api/wakatime/?username=ffflabs&hide=html", "No “WakaTime” cards", 404, NOT_OFFERED),
        ("/api?username=a" + "&b=1" * 100, "Something in the address", 400, {"field": "query"}),
    ],
)
def test_error_is_drawn_for_images_and_json_for_programs(
    http: httpx2.Client, url: str, title: str, status: int, problem: dict[str, str]
) -> None:
    drawn = http.get(url, headers=CAMO)
    assert (drawn.status_code, drawn.headers["content-type"]) == (200, SVG)
    assert title in read_title(drawn.content)
    response = http.get(url, headers={"accept": "*/*"})
    assert response.status_code == status
    assert problem.items() <= response.json().items()


@pytest.mark.parametrize(
    ("url", "parameter"),
    [
        ("/?user=nobody-of-this-name", "user="),
        ("/?user=", "user="),
        ("/api?username=nobody-of-this-name", "username="),
        ("/api/pin?username=mia-maintains", "repo="),
    ],
)
def test_explanation_names_the_parameter_of_the_url(
    http: httpx2.Client, url: str, parameter: str
) -> None:
    assert re.search(rf"[ >]{parameter}", http.get(url, headers=CAMO).text)


def test_explanation_has_theme_and_language_of_the_url(http: httpx2.Client) -> None:
    drawn = http.get("/api?username=nobody-of-this-name&theme=dark&locale=de", headers=CAMO)
    assert ".c{fill:#0d1117" in drawn.text
    assert "Kein" in read_title(drawn.content)


def test_page_without_user_is_unchanged(http: httpx2.Client) -> None:
    for url in ("/", "/?username=mia-maintains", "/?theme=dark"):
        page = http.get(url, headers={"accept": "text/html"})
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_metrics_count_requested_paths(http: httpx2.Client) -> None:
    assert http.get("/api/top-langs/?username=nobody-of-this-name", headers=CAMO).status_code == 200
    metrics = http.get("/metrics").text
    assert 'banners_requests_total{call="GET /api/top-langs",status="200"}' in metrics
