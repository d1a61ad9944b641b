"""The HTTP responses of a running service: pictures, errors, headers, names."""

import gzip
import html
import json
import re
from xml.etree import ElementTree as ET

import httpx2
import pytest

from tests.acceptance.processes import Running

pytestmark = pytest.mark.postgres

IMAGE = "image/avif,image/webp,image/svg+xml,image/*,*/*;q=0.8"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
NO_LOGINS = ["a" * 40, "a.b", "..", "%00", "%F0%9F%90%99", "a%20b", "", "%C3%A9"]


def post(service: Running, body: object, **headers: str) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx2.post(service.url + "/banners", content=content, headers=headers, timeout=30)


def github_calls(github: Running) -> object:
    return github.get("/_sandbox/calls").json()


def test_preview_has_every_header(service: Running) -> None:
    response = service.get("/banners/preview?username=mia-maintains&type=dark")
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/svg+xml; charset=utf-8"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["vary"] == "Accept-Encoding"
    cache = dict(
        part.strip().partition("=")[::2] for part in response.headers["cache-control"].split(",")
    )
    assert 30 <= int(cache["max-age"]) <= 600
    assert cache["stale-while-revalidate"] == "60"
    assert cache["stale-if-error"] == "86400"
    assert ET.fromstring(response.content).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("repeat", ["cold", "hot"])
def test_matching_etag_returns_304(service: Running, repeat: str) -> None:
    path = f"/banners/preview?username=mia-maintains&radius={len(repeat)}"
    first = service.get(path, accept_encoding="identity")
    if repeat == "hot":
        first = service.get(path, accept_encoding="identity")
    zipped = service.get(path, accept_encoding="gzip")
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.content == first.content
    assert zipped.headers["etag"] != first.headers["etag"]
    assert not first.headers["etag"].startswith("W/")
    second = service.get(path, accept_encoding="identity", if_none_match=first.headers["etag"])
    assert (second.status_code, second.content) == (304, b"")
    assert second.headers["etag"] == first.headers["etag"]
    assert "cache-control" in second.headers
    assert (
        service.get(path, accept_encoding="gzip", if_none_match=first.headers["etag"]).status_code
        == 200
    )


def test_head_returns_headers_of_get(service: Running) -> None:
    for path in ("/banners/preview?username=mia-maintains", "/banners/preview?username=a.b"):
        got = service.get(path, accept_encoding="identity")
        head = httpx2.head(service.url + path, headers={"accept-encoding": "identity"})
        assert (head.status_code, head.content) == (got.status_code, b"")
        for name in ("content-type", "content-length"):
            assert head.headers[name] == got.headers[name]
        # `max-age` falls every second.
        pattern = re.compile(r"max-age=(\d+)")
        policies = [response.headers["cache-control"] for response in (got, head)]
        assert pattern.sub("", policies[0]) == pattern.sub("", policies[1])
        if ages := [int(age) for policy in policies for age in pattern.findall(policy)]:
            assert 0 <= ages[0] - ages[1] <= 5


def test_post_banner_creates_once_and_url_ignores_case(service: Running) -> None:
    body = {"username": "CAMELCLEO", "type": "dark"}
    first, second = post(service, body), post(service, body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json() == {"url": "/banners/camelcleo-dark"}
    assert first.headers["location"] == "/banners/camelcleo-dark"
    plain = service.get("/banners/camelcleo-dark")
    for name in ("CamelCleo-Dark", "camelcleo-dark.svg"):
        assert service.get(f"/banners/{name}").content == plain.content
    preview = service.get("/banners/preview?username=camelcleo&type=dark")
    assert preview.content == plain.content
    numbers = service.get("/banners/camelcleo-dark.json").json()
    assert numbers["username"] == "CamelCleo"


def test_post_banner_with_other_options_creates_another_name(service: Running) -> None:
    plain = post(service, {"username": "sam-studies"}).json()["url"]
    round_ = post(service, {"username": "sam-studies", "radius": 3, "hide": ["forks"]}).json()[
        "url"
    ]
    same = post(service, {"HIDE": "forks", "Radius": "3", "username": "SAM-studies"}).json()["url"]
    assert plain == "/banners/sam-studies-default"
    assert round_ == same != plain
    assert service.get(round_).content != service.get(plain).content


def test_numbers_are_served_as_json(service: Running) -> None:
    response = service.get("/banners/preview?username=finn-forks&format=json")
    numbers = response.json()
    assert list(numbers) == ["username", "display_name", "stats", "fetched_at", "stale"]
    assert list(numbers["stats"]) == [
        "total_repos", "original_repos", "forked_repos", "total_stars", "total_forks", "languages",
    ]  # fmt: skip
    assert numbers["stats"]["original_repos"] == 0
    assert numbers["stale"] is False


@pytest.mark.parametrize("login", NO_LOGINS)
def test_invalid_login_returns_400(service: Running, github: Running, login: str) -> None:
    before = github_calls(github)
    response = service.get(f"/banners/preview?username={login}")
    assert response.status_code == 400
    problem = response.json()
    assert problem["error"] == "invalid inputs"
    assert problem["field"] == "username"
    assert problem["allowed"]
    assert response.headers["vary"] == "Accept"
    assert github_calls(github) == before


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("type=drakula", "invalid banner type"),
        ("theme=drakula", "invalid banner type"),
        ("layout=huge", "invalid inputs"),
        ("radius=21", "invalid inputs"),
        ("radius=-1", "invalid inputs"),
        ("radius=2e1", "invalid inputs"),
        ("langs_count=0", "invalid inputs"),
        ("border=perhaps", "invalid inputs"),
        ("bg_color=red", "invalid inputs"),
        ("hide=everything", "invalid inputs"),
        ("title=" + "x" * 65, "invalid inputs"),
        ("format=gif", "invalid inputs"),
        ("locale=tlh", "invalid inputs"),
    ],
)
def test_invalid_option_is_named_with_allowed_values(
    service: Running, github: Running, option: str, sentence: str
) -> None:
    before = github_calls(github)
    name = option.partition("=")[0].replace("theme", "type")
    response = service.get(f"/banners/preview?username=never-asked&{option}")
    assert (response.status_code, response.json()["error"]) == (400, sentence)
    assert response.json()["field"] == name
    assert response.json()["allowed"]
    drawn = service.get(f"/banners/preview?username=never-asked&{option}", accept=IMAGE)
    assert (drawn.status_code, drawn.headers["content-type"][:13]) == (200, "image/svg+xml")
    assert ET.fromstring(drawn.content).tag.endswith("svg")
    if name not in {"format"}:
        key, _, value = option.partition("=")
        assert post(service, {"username": "never-asked", key: value}).status_code == 400
    assert github_calls(github) == before


@pytest.mark.parametrize(
    "body", [b"", b"username=a", b"[]", b'"a"', b"null", b'{"username":', b"\xff", b"x" * 10_000_000,
             b"[" * 60_000, b'{"username": ["a"]}', b'{"username": null}', b"{}"],
    ids=lambda body: repr(body[:22]),
)  # fmt: skip
def test_post_banner_with_invalid_body_is_refused(
    service: Running, github: Running, body: bytes
) -> None:
    before = github_calls(github)
    response = post(service, body)
    assert (response.status_code, response.json()["error"]) == (400, "invalid inputs")
    assert response.json()["field"] in {"body", "username"}
    assert github_calls(github) == before


def test_unknown_user_or_banner_returns_404(service: Running) -> None:
    for path, sentence in (
        ("/banners/preview?username=nobody-of-this-name", "user doesn't exist"),
        ("/banners/nobody-of-this-name-dark", "banner doesn't exist"),
        ("/banners/..%2e", "banner doesn't exist"),
        ("/banners/%00", "banner doesn't exist"),
    ):
        plain, page = service.get(path), service.get(path, accept=BROWSER)
        assert (plain.status_code, plain.json()) == (404, {"error": sentence})
        assert page.status_code == 404
        drawn = service.get(path, accept="image/*")
        assert (drawn.status_code, drawn.headers["vary"]) == (200, "Accept")
        assert int(drawn.headers["cache-control"].rpartition("max-age=")[2]) <= 60
        description = ET.fromstring(drawn.content).find("{http://www.w3.org/2000/svg}desc")
        assert description is not None
        assert sentence in (description.text or "")
    assert service.get("/banners/nobody-dark.svg").headers["content-type"].startswith("image/svg")


def test_hostile_profile_text_is_escaped(service: Running) -> None:
    for login in ("mallory-markup", "bea-bidi"):
        picture = service.get(f"/banners/preview?username={login}").content
        tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(picture).iter()}
        assert "script" not in tags
        assert not any(
            name.startswith("on") for e in ET.fromstring(picture).iter() for name in e.attrib
        )
        assert not any(byte < 32 and byte not in b"\t\n" for byte in picture)


def test_hostile_title_is_escaped(service: Running) -> None:
    title = "%3C/text%3E%3Cscript%3Ealert(1)%3C/script%3E%00%08%22'"
    picture = service.get(f"/banners/preview?username=mia-maintains&title={title}").content
    tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(picture).iter()}
    assert "script" not in tags
    drawn = service.get(f"/banners/preview?username={title}", accept="image/*").content
    assert "script" not in {e.tag.rpartition("}")[2] for e in ET.fromstring(drawn).iter()}


def test_unknown_method_or_path_is_refused(service: Running) -> None:
    refused = httpx2.request("DELETE", service.url + "/banners")
    assert (refused.status_code, refused.json()) == (405, {"error": "method not allowed"})
    assert "POST" in refused.headers["allow"]
    assert httpx2.post(service.url + "/banners/preview?username=a").status_code == 405
    assert service.get("/nothing/here").json() == {"error": "not found"}


def test_root_is_builder_page(service: Running) -> None:
    response = service.get("/?username=mia-maintains")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert 'src="/banners/preview?username=mia-maintains&amp;type=default"' in response.text
    assert f"{service.url}/banners/preview?username=mia-maintains" in html.unescape(response.text)


def test_docs_content_type_has_one_charset(service: Running) -> None:
    assert service.get("/docs").headers["content-type"] == "text/html; charset=utf-8"


def test_explanation_has_theme_of_the_request(service: Running) -> None:
    path = "/banners/preview?username=nobody-at-all&"
    dark = service.get(path + "type=dark", accept="image/*").content
    light = service.get(path + "type=default", accept="image/*").content
    assert dark != light
    for body in ("TYPE=DARK", "theme=dark", "type=dark&theme=default", "theme=default&type=dark"):
        assert service.get(path + body, accept="image/*").content == dark


def test_health_endpoints_report_state(service: Running) -> None:
    assert service.get("/healthz").status_code == 200
    ready = service.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "degraded": []})


def test_cors_allows_reading_json(service: Running) -> None:
    response = service.get(
        "/banners/preview?username=mia-maintains&format=json", origin="https://a.example"
    )
    assert response.headers["access-control-allow-origin"] == "*"
    preflight = httpx2.options(
        service.url + "/banners",
        headers={"origin": "https://a.example", "access-control-request-method": "POST"},
    )
    assert preflight.status_code == 204
    assert "POST" in preflight.headers["access-control-allow-methods"]


def test_gzip_is_deterministic(service: Running) -> None:
    path = "/banners/preview?username=mia-maintains&radius=7"
    with httpx2.Client(trust_env=False) as client:
        raw = []
        for _ in range(2):
            with client.stream(
                "GET", service.url + path, headers={"accept-encoding": "gzip"}
            ) as response:
                raw.append(b"".join(response.iter_raw()))
    assert raw[0] == raw[1]
    assert gzip.decompress(raw[0]).startswith(b"<svg")
