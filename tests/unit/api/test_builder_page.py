"""The builder page as the server renders it: usable without JavaScript, small, escaped."""

import gzip
import json
from html import unescape
from ipaddress import ip_network
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from xml.etree import ElementTree as ET

import pytest
from minijinja import TemplateError
from starlette.applications import Starlette

from github_banners.api import builder
from github_banners.api.builder import script_data
from github_banners.api.builder.sources import SAMPLE, SAMPLE_REPOSITORY
from github_banners.api.builder.words import Words, languages, read_words
from github_banners.api.openapi import build_document
from github_banners.api.public_routes import FORMATS, page_routes
from github_banners.drawing.layouts import LAYOUTS
from github_banners.errors import (
    BannersError,
    ContributionsHidden,
    NoContributions,
    TokenRequired,
    UnknownRepository,
    UnknownUser,
    UserNotServed,
)
from github_banners.options import OPTIONS, Layout, allowed_values, ignored_options
from github_banners.serving.framework import SVG
from tests.unit.api.asgi import RecordedResponse, http_scope, send_request
from tests.unit.api.html_elements import Element, read_elements

HOST = "banners.example"
HOSTILE = '"><script>alert(1)</script>'
MAX_BYTES, MAX_GZIPPED_BYTES = 60_000, 20_000


async def send(target: str, *, public_url: str | None = None, **headers: str) -> RecordedResponse:
    # Nothing but the routes: the page needs neither GitHub nor a database.
    app = Starlette(routes=page_routes(public_url))
    return await send_request(app, http_scope(target, **{"host": HOST, **headers}))


async def read_page(query: dict[str, str], **arguments: Any) -> list[Element]:
    response = await send(f"/?{urlencode(query)}", **arguments)
    assert response.status == 200
    return read_elements(response.body.decode())


def by_id(elements: list[Element], identifier: str) -> Element:
    (element,) = [element for element in elements if element.attributes.get("id") == identifier]
    return element


def parse_url_query(url: str) -> dict[str, str]:
    query = parse_qs(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    return {name: values[-1] for name, values in query.items()}


def problems(elements: list[Element]) -> list[tuple[str, str]]:
    """Return the texts of the problems, and the links to the corrected page."""
    box = by_id(elements, "problems")
    inside = [element for element in elements if box in element.inside]
    links = [element for element in inside if element.tag == "a"]
    return [
        (
            " ".join(line.text.split()),
            next((link.attributes["href"] for link in links if line in link.inside), ""),
        )
        for line in inside
        if line.tag == "p"
    ]


async def test_page_without_user_shows_sample() -> None:
    elements = await read_page({})
    assert by_id(elements, "light").attributes["src"] == "/page/sample.svg?type=default"
    assert by_id(elements, "dark").attributes["src"] == "/page/sample.svg?type=dark"
    assert by_id(elements, "light").attributes["alt"] == "Mira Okafor’s GitHub work"
    assert by_id(elements, "username").attributes["value"] == ""
    assert problems(elements) == []


async def test_page_with_user_shows_pictures_and_markdown() -> None:
    query = {"username": "Octocat", "layout": "card", "bg_color": "#abc", "animate": "false"}
    elements = await read_page(query)
    for ground, theme in (("light", "default"), ("dark", "dark")):
        picture = by_id(elements, ground).attributes
        assert urlsplit(picture["src"]).path == "/banners/preview"
        assert parse_url_query(picture["src"]) == query | {"type": theme}
        assert (picture["width"], picture["height"]) == ("420", "220")
        assert picture["alt"] == "Octocat’s GitHub work"
    start, _, address = by_id(elements, "code").text.partition("](")
    assert start == "![Octocat’s GitHub work"
    assert address.startswith(f"http://{HOST}/banners/preview?")
    assert parse_url_query(address.removesuffix(")")) == query | {"type": "auto"}


async def test_page_form_holds_every_choice() -> None:
    query = {
        "type": "auto-nord-light",
        "layout": "languages",
        "shape": "donut",
        "hide": "stars,login",
        "hide_langs": "C++,HTML",
        "langs_count": "3",
        "title": "Über & <mich>",
        "locale": "ja",
        "border": "false",
        "accent_color": "f80",
        "view": "phone",
        "code": "html",
        "ground": "dark",
    }
    elements = await read_page({"username": "octocat", **query})
    shown: dict[str, str] = {}
    for element in elements:
        attributes, name = element.attributes, element.attributes.get("name", "")
        if any(outer.tag == "template" for outer in element.inside):
            continue
        if element.tag == "input" and attributes.get("type") in {"radio", "checkbox"}:
            if "checked" in attributes:
                value = attributes["value"]
                shown[name] = f"{shown[name]},{value}" if name == "hide" in shown else value
        elif element.tag == "input":
            shown[name] = attributes["value"] if name else ""
        elif element.tag == "option" and "selected" in attributes:
            select = element.inside[-1].attributes["name"]
            shown[select] = attributes.get("value", element.text.strip())
    assert {*shown.pop("hide").split(",")} == {"stars", "login"}
    del query["hide"]
    assert query.items() <= shown.items()


@pytest.mark.parametrize(
    ("sent", "include"),
    [
        ("include=", ""),
        ("include=&include=archived", None),
        ("include=&include=archived&include=forks", "archived,forks"),
        ("include=&include=forks", "forks"),
        ("", None),
    ],
)
async def test_page_form_without_script_sends_empty_list(sent: str, include: str | None) -> None:
    elements = read_elements((await send(f"/?username=a&{sent}")).body.decode())
    assert parse_url_query(by_id(elements, "light").attributes["src"]).get("include") == include


def controls_shown(elements: list[Element]) -> set[str]:
    """Return the names of the options whose controls are not hidden."""
    return {
        element.attributes["data-name"]
        for element in elements
        if element.attributes.get("data-name") and "hidden" not in element.attributes
    }


@pytest.mark.parametrize("layout", [*Layout, None, "nonsense"])
async def test_page_hides_and_leaves_out_what_layout_ignores(layout: str | None) -> None:
    values = {"show": "stars", "repo": "lantern", "count_by": "bytes", "hide_langs": "css"}
    query = {"username": "mia", "radius": "3", **values} | ({"layout": layout} if layout else {})
    elements = await read_page(query)
    ignored = {} if layout == "nonsense" else ignored_options(Layout(layout or "classic"))
    assert controls_shown(elements) == {*OPTIONS} - {"layout", *ignored}
    expected = {name: value for name, value in query.items() if name not in ignored}
    if layout == "classic":
        del expected["layout"]
    assert parse_url_query(by_id(elements, "light").attributes["src"]) == expected | {
        "type": "default"
    }
    # The form keeps them for the next layout.
    assert by_id(elements, "option-repo").attributes["value"] == "lantern"


async def test_page_shown_numbers_are_checked_in_their_order() -> None:
    elements = await read_page({"username": "mia", "layout": "card", "show": "issues,stars,forks"})
    boxes = [
        element
        for element in elements
        if element.attributes.get("name") == "show" and element.attributes["type"] == "checkbox"
    ]
    checked = [element.attributes["value"] for element in boxes if "checked" in element.attributes]
    assert checked == ["issues", "stars", "forks"]
    positions = [element.inside[-1].attributes.get("data-position") for element in boxes]
    assert positions == ["1", "2", "3", *[None] * 6]
    assert (
        parse_url_query(by_id(elements, "dark").attributes["src"])["show"] == "issues,stars,forks"
    )


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ({}, ("846", "192")),
        ({"layout": "nonsense"}, ("846", "192")),
        ({"layout": "activity"}, ("846", "236")),
        ({"layout": "repository"}, ("420", "150")),
        ({"layout": "card", "show": "stars,forks,issues"}, ("420", "220")),
        ({"layout": "card", "show": "stars,forks,issues,commits"}, ("420", "274")),
        ({"layout": "compact", "show": "stars,forks,issues,commits"}, ("420", "44")),
    ],
)
async def test_page_picture_has_size_of_layout_and_numbers(
    query: dict[str, str], size: tuple[str, str]
) -> None:
    picture = by_id(await read_page({"username": "mia", **query}), "light").attributes
    assert (picture["width"], picture["height"]) == size


async def test_page_shown_numbers_of_form_without_script_are_read_back() -> None:
    target = "/?username=a&layout=card&show=&show=commits&show=followers&repo="
    elements = read_elements((await send(target)).body.decode())
    expected = {"username": "a", "type": "default", "layout": "card", "show": "commits,followers"}
    assert parse_url_query(by_id(elements, "light").attributes["src"]) == expected
    none_checked = read_elements((await send("/?username=a&show=")).body.decode())
    shown = parse_url_query(by_id(none_checked, "light").attributes["src"])
    assert shown == {"username": "a", "type": "default"}


@pytest.mark.parametrize(
    ("query", "alt"),
    [
        ({"layout": "repository"}, "Mira Okafor’s GitHub repository lantern"),
        ({"layout": "repository", "repo": "other"}, "Mira Okafor’s GitHub repository lantern"),
        ({"username": "mia", "layout": "repository"}, "mia’s GitHub work"),
        (
            {"username": "mia", "layout": "repository", "repo": "Mia/Dotfiles"},
            "mia’s GitHub repository Dotfiles",
        ),
        ({"username": "mia", "layout": "card", "repo": "dotfiles"}, "mia’s GitHub work"),
        ({"username": "mia", "layout": "activity"}, "mia’s GitHub work"),
    ],
)
async def test_page_alt_names_repository_of_its_layout(query: dict[str, str], alt: str) -> None:
    elements = await read_page(query)
    assert {by_id(elements, identifier).attributes["alt"] for identifier in ("light", "dark")} == {
        alt
    }
    assert by_id(elements, "code").text.startswith(f"![{alt}](")


async def test_page_repository_without_name_requires_it() -> None:
    elements = await read_page({"username": "mia", "layout": "repository"})
    assert problems(elements) == [("Name one of the user’s public repositories.", "")]
    assert problems(await read_page({"layout": "repository"})) == []


def test_page_data_explains_what_github_does_not_have() -> None:
    data = json.loads(script_data.page_data("en", public_url=None))
    errors: list[type[BannersError]] = [
        UnknownUser,
        UnknownRepository,
        ContributionsHidden,
        NoContributions,
        TokenRequired,
        UserNotServed,
    ]
    assert {*data["reasons"]} == {error.public_message for error in errors}
    assert {*data["reasons"].values()} <= {*data["words"]}


def test_page_data_has_themes_and_rules_of_layouts() -> None:
    data = json.loads(script_data.page_data("en", public_url=None))
    rows = [row.split() for family in data["families"] for row in family]
    assert {name for name, *_ in rows} == {
        name for name in allowed_values("type") if not name.startswith("auto")
    }
    assert all(len(colours) == len(data["parts"]) for _, *colours in rows)
    assert data["limits"] == {"classic": 3, "card": 6, "compact": 3}
    assert {*data["sizes"]} == {*data["ignored"]} == {*allowed_values("layout")}
    assert data["ignored"]["classic"] == "repo"


async def test_page_links_keep_an_empty_list_and_no_other_empty_value() -> None:
    elements = await read_page({"username": "mia", "include": "", "title": ""})
    links = [element.attributes["href"] for element in elements if element.tag == "a"]
    pages = [parse_url_query(link) for link in links if link.startswith("/?")]
    assert len(pages) > 40
    assert all(page["include"] == "" and "title" not in page for page in pages)


async def test_page_form_of_browser_without_script_is_read_back() -> None:
    # A switch sends a hidden "false" before its own "true", a list one pair per value.
    target = "/?username=a&animate=false&animate=true&border=false&hide=stars&hide=forks&radius="
    elements = read_elements((await send(target)).body.decode())
    expected = {"username": "a", "border": "false", "hide": "stars,forks", "type": "default"}
    assert parse_url_query(by_id(elements, "light").attributes["src"]) == expected


@pytest.mark.parametrize(
    ("theme", "palettes"),
    [
        ("auto", ["default", "dark"]),
        ("auto-dark", ["default", "dark"]),
        ("auto-nord-light", ["nord-light", "nord"]),
        ("auto-dimmed", ["default", "dimmed"]),
        ("ink", ["ink", "ink"]),
        # A theme of another service.
        ("transparent", ["default", "dark"]),
    ],
)
async def test_page_pair_of_themes_is_shown_on_its_grounds(theme: str, palettes: list[str]) -> None:
    elements = await read_page({"type": theme})
    shown = [
        parse_url_query(by_id(elements, identifier).attributes["src"])["type"]
        for identifier in ("light", "dark")
    ]
    assert shown == palettes


async def test_page_misspelt_value_links_to_correction() -> None:
    elements = await read_page({"username": "octocat", "type": "darkk", "layout": "card"})
    ((text, link),) = problems(elements)
    assert text.startswith("“darkk” is no valid value of Theme. Allowed: auto, default, dark, ")
    assert text.endswith("tide-night … Use “dark”")
    assert parse_url_query(link) == {"username": "octocat", "type": "dark", "layout": "card"}
    assert parse_url_query(by_id(elements, "light").attributes["src"])["type"] == "darkk"


@pytest.mark.parametrize(
    ("query", "message", "correction"),
    [
        ({"layout": "crad"}, "“crad” is no valid value of Layout.", {"layout": "card"}),
        ({"hide": "stras"}, "“stras” is no valid value of Hide.", {"hide": "stars"}),
        (
            {"layout": "compact", "show": "stars,forks,issues,reviews"},
            "“stars,forks,issues,reviews” is no valid value of Show. Allowed: at most 3 names",
            {"layout": "compact", "show": "stars,forks,issues"},
        ),
        ({"radius": "99"}, "“99” is no valid value of Corner radius.", {"radius": "20"}),
        ({"bg_color": "red"}, "“red” is no valid value of Background.", None),
        ({"username": "a b"}, "“a b” is no valid value of GitHub user name.", None),
        ({"typ": "dark"}, "There is no option “typ”.", {"type": "dark"}),
        ({"hide_border": "true"}, "There is no option “hide_border”.", {"border": "true"}),
    ],
)
async def test_page_problem_is_explained(
    query: dict[str, str], message: str, correction: dict[str, str] | None
) -> None:
    ((text, link),) = problems(await read_page({"username": "octocat", **query}))
    assert text.startswith(message)
    if correction is None:
        assert link == ""
    else:
        assert parse_url_query(link) == {"username": "octocat", **correction}


async def test_page_own_and_foreign_parameters_are_no_problem() -> None:
    query = {"username": "a", "lang": "en", "view": "phone", "code": "html", "utm_source": "x"}
    assert problems(await read_page(query)) == []


@pytest.mark.parametrize(
    "name",
    ["username", "type", "layout", "title", "bg_color", "hide", "lang", "view", "typ", HOSTILE],
)
async def test_page_hostile_value_is_escaped(name: str) -> None:
    elements = await read_page({"username": "octocat", name: HOSTILE}, host=HOSTILE)
    scripts = [element for element in elements if element.tag == "script"]
    assert [element.attributes.get("type") for element in scripts] == ["module", "application/json"]
    assert not [
        name for element in elements for name in element.attributes if name.startswith("on")
    ]
    assert {element.attributes.get("src", "")[:6] for element in scripts} == {"/page/", ""}


async def test_page_quotes_in_value_come_back() -> None:
    title = """ "quoted" & 'single' <b> """
    elements = await read_page({"username": "octocat", "title": title})
    assert by_id(elements, "option-title").attributes["value"] == title.strip()
    assert parse_url_query(by_id(elements, "light").attributes["src"])["title"] == title.strip()


@pytest.mark.parametrize("host", ["a:b", "x:99999", "[", "[::1", "user@host", "", "</pre>"])
async def test_page_odd_host_gets_page(host: str) -> None:
    elements = read_elements((await send("/?username=a", host=host)).body.decode())
    assert by_id(elements, "code").text.endswith("/banners/preview?username=a&type=auto)")


@pytest.mark.parametrize(
    "target", ["/?username=%ff%00", "/?" + "a=1&" * 200, "/?=&&;", "/?lang=%00"]
)
async def test_page_odd_query_gets_page(target: str) -> None:
    response = await send(target)
    assert response.status == 200
    read_elements(response.body.decode())


async def test_page_long_query_is_ignored_and_response_stays_small() -> None:
    response = await send(f"/?username={'!' * 60_000}")
    assert response.status == 200
    assert len(response.body) < MAX_BYTES
    # Every link to another theme or language repeats the choices, but only possible ones.
    response = await send(f"/?username={'!' * 1_000}&other={'x' * 900}")
    assert len(response.body) < MAX_BYTES + 10_000


async def test_page_long_language_tag_is_ignored() -> None:
    elements = await read_page({}, **{"accept-language": "aa" + "-a" * 30_000})
    assert elements[0].attributes["lang"] == "en"


async def test_page_second_name_of_type_is_accepted() -> None:
    elements = await read_page({"username": "mia", "theme": "dark"})
    assert parse_url_query(by_id(elements, "light").attributes["src"])["type"] == "dark"


async def test_page_suggested_alias_links_to_its_option() -> None:
    ((_, link),) = problems(await read_page({"username": "mia", "themes": "dark", "type": "nord"}))
    assert parse_url_query(link) == {"username": "mia", "type": "dark"}


async def test_page_empty_type_leaves_its_second_name() -> None:
    elements = await read_page({"username": "mia", "type": "", "theme": "nord"})
    assert parse_url_query(by_id(elements, "light").attributes["src"])["type"] == "nord"


async def test_page_suggests_only_what_it_can_show() -> None:
    elements = await read_page({"username": "mia", "for_mat": "png"})
    assert problems(elements) == []


@pytest.mark.parametrize(("peer", "scheme"), [("10.1.2.3", "https"), ("203.0.113.9", "http")])
async def test_page_code_has_scheme_that_trusted_proxy_forwards(peer: str, scheme: str) -> None:
    routes = page_routes(trusted_proxies=(ip_network("10.0.0.0/8"),))
    scope = http_scope("/?username=mia", **{"host": HOST, "x-forwarded-proto": "https"})
    response = await send_request(Starlette(routes=routes), {**scope, "client": (peer, 1)})
    assert f"]({scheme}://{HOST}/banners/preview?" in unescape(response.body.decode())


@pytest.mark.parametrize("language", languages(), ids=lambda language: language.locale)
async def test_page_is_in_language_and_links_to_the_others(language: Any) -> None:
    query = {"username": "octocat", "layout": "card"}
    elements = await read_page(query, accept_language=language.locale)
    root = next(element for element in elements if element.tag == "html")
    assert root.attributes == {"lang": language.tag, "dir": language.direction}
    heading = next(element for element in elements if element.tag == "h1")
    assert heading.text == read_words(language.locale)["page"]["headline"]
    links = {
        element.attributes.get("hreflang"): element for element in elements if element.tag == "a"
    }
    assert {*links} == {None, *(linked.tag for linked in languages())}
    for linked in languages():
        attributes = links[linked.tag].attributes
        assert parse_url_query(attributes["href"]) == query | {"lang": linked.locale}
        assert ("aria-current" in attributes) == (linked == language)


async def test_page_lang_parameter_comes_before_header() -> None:
    elements = await read_page({"lang": "de"}, accept_language="ja")
    assert next(element for element in elements if element.tag == "html").attributes["lang"] == "de"
    (field,) = [element for element in elements if element.attributes.get("name") == "lang"]
    assert field.attributes["value"] == "de"


async def test_page_missing_word_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    english = read_words("en")
    page = {name: text for name, text in english["page"].items() if name != "headline"}
    monkeypatch.setattr(builder, "read_words", lambda _: {**english, "page": page})
    with pytest.raises(TemplateError):
        await send("/")


async def test_page_behind_path_has_it_in_every_url() -> None:
    elements = await read_page(
        {"username": "octocat", "type": "darkk"}, public_url="https://example.org/gh/"
    )
    urls = [
        element.attributes[name]
        for element in elements
        for name in ("href", "src", "action")
        if not element.attributes.get(name, "#").startswith("#")
    ]
    assert len(urls) > 50
    assert [url for url in urls if not url.startswith("/gh/")] == []
    assert "(https://example.org/gh/banners/preview?" in by_id(elements, "code").text
    assert '"origin":"https://example.org","base":"/gh"' in by_id(elements, "page-data").text


async def test_page_headers_allow_own_origin_only() -> None:
    headers = (await send("/")).headers
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-cache"
    assert headers["vary"] == "Accept-Encoding, Accept-Language"
    assert headers["x-content-type-options"] == "nosniff"
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in headers["content-security-policy"].split(";")
    )
    assert policy.pop("default-src") == "'none'"
    assert policy.pop("frame-ancestors") == "'none'"
    assert policy.pop("base-uri") == "'none'"
    assert {*policy} == {"script-src", "style-src", "connect-src", "img-src", "form-action"}
    assert {*policy.values()} == {"'self'"}


async def test_page_etag_matches_until_choice_or_language_changes() -> None:
    etag = (await send("/?username=a")).headers["etag"]
    again = await send("/?username=a", if_none_match=etag)
    assert (again.status, again.body) == (304, b"")
    assert (await send("/?username=b", if_none_match=etag)).status == 200
    german = await send("/?username=a", if_none_match=etag, accept_language="de")
    assert german.status == 200
    zipped = await send("/?username=a", accept_encoding="gzip")
    assert zipped.headers["content-encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == (await send("/?username=a")).body


async def test_page_has_inline_neither_script_nor_style() -> None:
    elements = await read_page({})
    assert not [
        element for element in elements if element.tag == "style" or "style" in element.attributes
    ]
    inline = [
        element
        for element in elements
        if element.tag == "script" and "src" not in element.attributes
    ]
    assert [element.attributes["type"] for element in inline] == ["application/json"]


def file_urls(elements: list[Element]) -> dict[str, str]:
    """Return the URLs of the page's files, by suffix."""
    urls = {
        element.attributes.get("src") or element.attributes.get("href", "") for element in elements
    }
    return {
        url.rpartition(".")[2]: url
        for url in urls
        if url.startswith("/page/") and "sample" not in url
    }


@pytest.mark.parametrize(
    ("suffix", "media_type"),
    [
        ("css", "text/css; charset=utf-8"),
        ("js", "text/javascript; charset=utf-8"),
        ("svg", SVG),
    ],
)
async def test_page_file_is_immutable_under_hashed_name(suffix: str, media_type: str) -> None:
    url = file_urls(await read_page({}))[suffix]
    response = await send(url)
    assert (response.status, response.headers["content-type"]) == (200, media_type)
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["vary"] == "Accept-Encoding"
    assert (await send(url, if_none_match=response.headers["etag"])).status == 304


@pytest.mark.parametrize(
    "name",
    [
        "page.css",
        "page.js",
        "page.html",
        "page.0000000000.js",
        "__init__.py",
        "sample.png",
        "..",
        "%2e",
    ],
)
async def test_page_other_file_gets_404(name: str) -> None:
    assert (await send(f"/page/{name}")).status == 404


async def test_sample_picture_has_valid_options_and_ignores_others() -> None:
    response = await send("/page/sample.svg?type=dark&layout=card&radius=999&username=x")
    assert (response.status, response.headers["content-type"]) == (200, SVG)
    assert response.headers["cache-control"] == "public, max-age=3600"
    root = ET.fromstring(response.body)
    assert root.attrib["viewBox"] == "0 0 420 220"
    assert "Mira Okafor" in "".join(root.itertext())
    plain = (await send("/page/sample.svg")).body
    assert plain == (await send("/page/sample.svg?" + "a=1&" * 200)).body != response.body


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_sample_picture_has_numbers_for_every_layout(layout: Layout) -> None:
    root = ET.fromstring((await send(f"/page/sample.svg?layout={layout}")).body)
    canvas = LAYOUTS[layout].canvas
    assert root.attrib["viewBox"] == f"0 0 {canvas.width} {canvas.height}"
    assert script_data.canvas_size(layout) == (canvas.width, canvas.height)
    expected = SAMPLE_REPOSITORY.name if layout is Layout.REPOSITORY else SAMPLE.owner.display_name
    assert str(expected) in "".join(root.itertext())


def test_sample_activity_agrees_with_its_days() -> None:
    activity = SAMPLE.activity
    assert activity is not None
    assert activity.last_day is not None
    assert activity.best_day is not None
    days = activity.days
    assert len(days) <= 371
    assert sum(days[-365:]) == activity.last_year <= activity.contributions
    assert (
        days[-1 - (activity.last_day - activity.best_day).days] == activity.best_count == max(days)
    )
    last_zero = max(index for index, count in enumerate(days) if count == 0)
    assert len(days) - 1 - last_zero == activity.current_streak <= activity.longest_streak
    kinds = activity.commits + activity.pull_requests + activity.issues + activity.reviews
    assert kinds == activity.contributions


def test_page_without_words_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words, which every language has more or fewer of, are replaced by empty texts."""

    def without_texts(words: Any) -> Any:
        if isinstance(words, str):
            return ""
        return {key: without_texts(value) for key, value in words.items()}

    def empty_words(locale: str) -> Words:
        empty: Words = without_texts(read_words(locale))
        return empty

    for module in (builder, script_data):
        monkeypatch.setattr(module, "read_words", empty_words)
    script_data.page_data.cache_clear()
    page = builder.BuilderPage(lambda: build_document(formats=FORMATS, version="1"))
    html = page.render({"username": "octocat"}, language=languages()[0], origin=f"https://{HOST}")
    script_data.page_data.cache_clear()
    assert read_words("en")["page"]["headline"] not in html
    files = [
        document.content.body
        for name, document in builder.static_files().items()
        if not name.endswith("svg")
    ]
    parts = [html.encode(), *files]
    assert len(parts) == 3
    assert sum(map(len, parts)) <= MAX_BYTES
    assert sum(len(gzip.compress(part)) for part in parts) <= MAX_GZIPPED_BYTES
