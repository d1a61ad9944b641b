"""The builder page in a browser: every way through it, for eyes, keyboards and slow networks."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from github_banners.api.builder.words import languages, read_words
from tests.acceptance.breakable_backends import BreakableSandbox
from tests.acceptance.chromium import IN_A_BROWSER
from tests.acceptance.processes import Running, environment, free_port, reachable_dir, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request, Route

pytestmark = [pytest.mark.postgres, *IN_A_BROWSER]

WORDS = read_words("en")
LIVE = WORDS["live"]
USER = "mia-maintains"
START = f"/?username={USER}"
SCRIPT = (files("github_banners.api.builder") / "page.js").read_text()
PAUSE, FAST_PAUSE = "UPDATE_MILLISECONDS = 400;", "UPDATE_MILLISECONDS = 20;"
TEN_LOOKS = [
    {"layout": layout, "type": theme}
    for layout in ("classic", "card", "compact", "languages", "classic")
    for theme in ("paper", "nord")
]
SHIFTS = """() => new Promise(resolve => {
    const shifts = [];
    const describe = ({node, previousRect, currentRect}) =>
        [node?.outerHTML?.slice(0, 80) ?? node?.textContent, previousRect, currentRect];
    new PerformanceObserver(list => {
        for (const entry of list.getEntries())
            shifts.push(JSON.stringify([entry.startTime, entry.sources.map(describe)]));
    }).observe({type: "layout-shift", buffered: true});
    setTimeout(() => resolve(shifts), 100);
})"""
TARGETS = """() => [...document.querySelectorAll(
    "a, button, input:not([type=hidden]), select, summary")]
    .filter(element => element.checkVisibility() && !element.matches(".skip"))
    .map(element => {
        const box = element.getBoundingClientRect();
        return [element.outerHTML.slice(0, 80), box.width, box.height];
    })"""


@pytest.fixture(scope="module")
def github() -> Iterator[BreakableSandbox]:
    resource = BreakableSandbox()
    resource.start()
    yield resource
    resource.close()


@contextmanager
def serving(github: BreakableSandbox, **settings: str) -> Iterator[Running]:
    port = free_port()
    with reachable_dir() as folder:
        env = environment(
            PORT=str(port),
            DATA_DIR=str(folder),
            GITHUB_API_URL=github.url,
            GITHUB_TOKENS="ghp_sandbox",
            **settings,
        )
        with running("serve", env=env) as served:
            # Its output names PUBLIC_URL, which does not exist.
            service = Running(served.process, f"http://127.0.0.1:{port}", served.errors)
            service.get(f"/banners/preview?username={USER}")
            yield service


@pytest.fixture(scope="module")
def service(github: BreakableSandbox) -> Iterator[Running]:
    with serving(github) as service:
        yield service


class Visit:
    """
    A page in a browser context of its own, with what it requested and what went wrong.

    Its script waits only a little between updates, unless the test is about that.
    """

    def __init__(
        self, browser: "Browser", service: Running, *, is_fast: bool = True, **options: Any
    ) -> None:
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        self.service = service
        self.context = browser.new_context(base_url=service.url, **options)
        self.context.set_default_timeout(10_000)
        self.page = self.context.new_page()
        self.requested: list[str] = []
        self.errors: list[str] = []
        self._pending: set[Request] = set()
        self._quiet_milliseconds = 150 if is_fast else 500
        if is_fast:
            self.page.route("**/page/page.*.js", self._send_fast_script)
        self.page.on("request", self._record)
        self.page.on("requestfinished", self._end)
        self.page.on("requestfailed", self._end)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text))

    def _send_fast_script(self, route: "Route") -> None:
        assert SCRIPT.count(PAUSE) == 1
        route.fulfill(content_type="text/javascript", body=SCRIPT.replace(PAUSE, FAST_PAUSE))

    def _record(self, request: "Request") -> None:
        self.requested.append(request.url)
        self._pending.add(request)

    def _end(self, request: "Request") -> None:
        self._pending.discard(request)

    def open(self, path: str = START) -> "Page":
        self.page.goto(path)
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until all requests are finished, and longer than a further update could take."""
        quiet = 0
        while quiet < self._quiet_milliseconds:
            count = len(self.requested)
            # A timer of the page: if the page is late, those of its updates come first.
            self.page.evaluate("() => new Promise(done => setTimeout(done, 50))")
            is_quiet = not self._pending and count == len(self.requested)
            quiet = quiet + 50 if is_quiet else 0

    def wait_until(self, is_true: Callable[[], object]) -> None:
        """Wait for a condition about what the browser has reported."""
        deadline = time.monotonic() + 30
        while not is_true():
            assert time.monotonic() < deadline
            self.page.wait_for_timeout(50)

    def shown(self, ground: str = "light") -> dict[str, str]:
        """Return the query of a preview."""
        return parse_url_query(self.page.locator(f"#{ground}").get_attribute("src") or "")

    def is_drawn(self, ground: str = "light") -> bool:
        picture = self.page.locator(f"#{ground}")
        picture.evaluate("picture => picture.decode()")
        return int(picture.evaluate("picture => picture.naturalWidth")) > 0

    @property
    def query(self) -> dict[str, str]:
        return parse_url_query(self.page.url)

    @property
    def code(self) -> str:
        return self.page.locator("#code").inner_text()

    @property
    def problems(self) -> str:
        return self.page.locator("#problems").inner_text()

    def updates(self) -> list[str]:
        """Return the URLs of the JSON requests, one per update."""
        return [url for url in self.requested if "format=json" in url]


def parse_url_query(url: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}


@pytest.fixture
def visits(browser: "Browser", service: Running) -> Iterator[Callable[..., Visit]]:
    """Return a function that makes a visit; at its end no script may have failed."""
    opened: list[Visit] = []

    def visit(visited: Running = service, **options: Any) -> Visit:
        opened.append(Visit(browser, visited, **options))
        return opened[-1]

    yield visit
    for opened_visit in opened:
        opened_visit.context.close()
        # The browser itself reports responses that say what is wrong.
        errors = [
            text for text in opened_visit.errors if not text.startswith("Failed to load resource")
        ]
        assert errors == []


@pytest.fixture
def visit(visits: Callable[..., Visit]) -> Visit:
    return visits(permissions=["clipboard-read", "clipboard-write"])


def clipboard(page: "Page") -> str:
    return str(page.evaluate("navigator.clipboard.readText()"))


# ---- Ways through the page ----------------------------------------------------------------------


def test_builder_typed_name_and_enter_draw_user(visit: Visit) -> None:
    page = visit.open("/")
    assert visit.shown() == {"type": "default"}
    page.get_by_label(WORDS["page"]["login"]).fill(USER)
    page.keyboard.press("Enter")
    visit.settle()
    assert visit.query == {"username": USER}
    assert visit.shown() == {"username": USER, "type": "default"}
    assert visit.shown("dark") == {"username": USER, "type": "dark"}
    assert visit.is_drawn()
    assert visit.is_drawn("dark")
    name = httpx2.get(visit.updates()[-1]).json()["display_name"]
    assert page.locator("#light").get_attribute("alt") == f"{name}’s GitHub work"
    assert re.fullmatch(r"Drawn in \d+ ms · \d+\.\d KB", page.locator("#timing").inner_text())


def test_builder_typing_without_enter_draws_after_pause(visits: Callable[..., Visit]) -> None:
    visit = visits(is_fast=False)
    page = visit.open("/")
    before = len(visit.requested)
    page.locator("#username").press_sequentially(USER, delay=20)
    visit.settle()
    assert visit.shown()["username"] == USER
    assert len(visit.updates()) == 1
    # The browser reads the icon again when the address changes.
    requested = [url for url in visit.requested[before:] if "icon" not in url]
    expected = [{"type": "auto", "format": "json"}, {"type": "default"}, {"type": "dark"}]
    assert [parse_url_query(url) for url in requested] == [
        {"username": USER, **query} for query in expected
    ]


def test_builder_steady_typing_updates_at_most_every_400_ms(visits: Callable[..., Visit]) -> None:
    visit = visits(is_fast=False)
    page = visit.open()
    page.get_by_text(WORDS["page"]["more_options"]).click()
    times: list[float] = []

    def record(request: "Request") -> None:
        if "format=json" in request.url:
            times.append(time.monotonic())

    page.on("request", record)
    start = time.monotonic()
    for number in range(12):
        page.locator("#option-title").fill(f"Title {number}")
        page.locator("#option-border").click()
    visit.settle()
    assert times
    assert len(times) <= (times[-1] - start) / 0.4 + 1
    assert visit.shown()["title"] == "Title 11"


def test_builder_choices_change_pictures_code_and_address(visit: Visit) -> None:
    page = visit.open()
    page.get_by_label(WORDS["values"]["layout"]["card"], exact=True).check()
    page.get_by_label(WORDS["options"]["locale"], exact=True).select_option("de")
    page.get_by_role("switch", name=WORDS["options"]["animate"]).click()
    page.get_by_text(WORDS["page"]["more_options"]).click()
    hide = page.get_by_role("group", name=WORDS["options"]["hide"], exact=True)
    hide.get_by_label(WORDS["values"]["hide"]["forks"]).check()
    page.get_by_label(WORDS["options"]["radius"]).fill("3")
    visit.settle()
    chosen = {"layout": "card", "locale": "de", "animate": "false", "hide": "forks", "radius": "3"}
    assert visit.query == {"username": USER, **chosen}
    assert visit.shown("dark") == {"username": USER, "type": "dark", **chosen}
    (size,) = {page.locator(f"#{name}").get_attribute("width") for name in ("light", "dark")}
    assert size == "420"
    (source, image) = re.findall(r'(?:srcset|src)="([^"]+)"', visit.code)
    for url, theme in ((image, "default"), (source, "dark")):
        assert parse_url_query(url.replace("&amp;", "&")) == {
            "username": USER,
            "type": theme,
            **chosen,
        }


def test_builder_shown_numbers_stand_in_order_of_choosing(visit: Visit) -> None:
    page = visit.open(f"{START}&layout=card")
    group = page.get_by_role("group", name=WORDS["options"]["show"], exact=True)
    boxes = {name: group.get_by_label(label) for name, label in WORDS["values"]["show"].items()}
    boxes["stars"].uncheck()
    for name in ("followers", "commits", "stars", "issues"):
        boxes[name].check()
    visit.settle()
    shown = "forks,repositories,followers,commits,stars,issues"
    assert visit.shown() == {
        "username": USER,
        "type": "default",
        "layout": "card",
        "show": shown,
    }
    assert visit.query["show"] == shown
    assert visit.is_drawn()
    labels = group.locator("label[data-position]")
    assert {*labels.evaluate_all("labels => labels.map(l => l.dataset.position)")} == {*"123456"}
    assert [name for name, box in boxes.items() if box.is_disabled()] == [
        "pull_requests",
        "reviews",
        "contributions",
    ]
    # The layout classic has room for three; the others are not forgotten.
    page.get_by_label(WORDS["values"]["layout"]["classic"], exact=True).check()
    visit.settle()
    assert visit.query["show"] == "forks,repositories,followers"
    assert visit.problems == ""
    page.get_by_label(WORDS["values"]["layout"]["card"], exact=True).check()
    visit.settle()
    assert visit.query["show"] == shown
    for name in shown.split(","):
        boxes[name].uncheck()
    visit.settle()
    assert "show" not in visit.query


def test_builder_layout_has_only_the_options_it_uses(visit: Visit) -> None:
    page = visit.open(f"{START}&hide_langs=css&langs_count=3&title=Mine")
    page.get_by_text(WORDS["page"]["more_options"]).click()
    fields = {name: page.locator(f"#option-{name}") for name in ("repo", "hide_langs", "title")}

    def visible() -> list[str]:
        return [name for name, field in fields.items() if field.is_visible()]

    assert visible() == ["hide_langs", "title"]
    page.get_by_label(WORDS["values"]["layout"]["activity"], exact=True).check()
    visit.settle()
    assert visible() == ["title"]
    assert visit.query == {"username": USER, "layout": "activity", "title": "Mine"}
    assert visit.is_drawn()
    page.get_by_label(WORDS["values"]["layout"]["repository"], exact=True).check()
    visit.settle()
    assert visible() == ["repo", "title"]
    assert visit.problems == LIVE["no_repository"]
    page.get_by_label(WORDS["values"]["layout"]["classic"], exact=True).check()
    visit.settle()
    assert visible() == ["hide_langs", "title"]
    expected = {"hide_langs": "css", "langs_count": "3", "title": "Mine"}
    assert visit.query == {"username": USER, **expected}


def test_builder_repository_is_named_corrected_and_copied(
    visit: Visit, github: BreakableSandbox
) -> None:
    repositories = httpx2.get(f"{github.url}/users/{USER}/repos?per_page=1").json()
    name = repositories[0]["name"].lower()
    page = visit.open(f"{START}&layout=repository&title=Mine")
    page.get_by_label(WORDS["options"]["repo"]).fill(f"{USER}/{name}x")
    visit.settle()
    problem = LIVE["unknown_repository"].format(value=USER, repo=f"{USER}/{name}x")
    assert problem in visit.problems
    page.get_by_role("button", name=f"“{name}”").click()
    visit.settle()
    assert visit.problems == ""
    chosen = {"layout": "repository", "repo": name, "title": "Mine"}
    assert visit.query == {"username": USER, **chosen}
    assert visit.shown("dark") == {"username": USER, "type": "dark", **chosen}
    alt = page.locator("#light").get_attribute("alt") or ""
    assert alt.endswith(f"’s GitHub repository {name}")
    page.locator("#copy").click()
    page.get_by_text(LIVE["copied"], exact=True).wait_for()
    snippet = clipboard(page)
    assert f'alt="{alt}"' in snippet
    for url in re.findall(r'(?:srcset|src)="([^"]+)"', snippet):
        assert name in visit.service.get(urlsplit(url).path).text


def test_builder_theme_of_gallery_is_chosen(visit: Visit) -> None:
    page = visit.open()
    page.locator("#themes a", has_text=re.compile("^ink$")).click()
    visit.settle()
    assert visit.query == {"username": USER, "type": "ink"}
    assert visit.shown() == visit.shown("dark") == {"username": USER, "type": "ink"}
    assert page.locator("#option-type").input_value() == "ink"
    assert page.locator("#themes [aria-current]").inner_text() == "ink"
    assert visit.code.count("http") == 1


def test_builder_gallery_is_filtered_by_ground(visit: Visit) -> None:
    page = visit.open()
    counts = []
    for ground in ("light", "dark", "both"):
        page.locator(f"#ground-{ground}").check()
        visible = page.locator("#themes li:visible")
        counts.append(visible.count())
        shown = visible.evaluate_all("themes => themes.map(theme => theme.className)")
        assert {*shown} == {ground}
        visit.settle()
        assert visit.query["ground"] == ground
    assert sum(counts) == page.locator("#themes li").count()


def test_builder_colour_shows_contrast_and_warns(visit: Visit) -> None:
    page = visit.open()
    page.get_by_text(WORDS["page"]["colours"], exact=True).click()
    field = page.locator("#option-text_color")
    contrast = page.locator(".control[data-name=text_color] output")
    assert contrast.get_attribute("class") == "contrast"
    page.locator("#option-bg_color").fill("fff")
    field.fill("#777777")
    assert contrast.get_attribute("aria-label") == "Contrast 4.5 : 1, hard to read"
    assert contrast.get_attribute("class") == "contrast low"
    field.fill("767676")
    assert contrast.get_attribute("aria-label") == "Contrast 4.5 : 1"
    picker = page.get_by_label(
        WORDS["live"]["picker"].format(option=WORDS["options"]["text_color"])
    )
    assert picker.input_value() == "#767676"
    picker.nth(0).fill("#00ff00")
    assert field.input_value() == "00ff00"
    assert "low" in (contrast.get_attribute("class") or "")
    visit.settle()
    assert visit.shown()["text_color"] == "00ff00"


def test_builder_views_show_phone_and_readme(visit: Visit) -> None:
    page = visit.open()
    wide = page.locator("#light").bounding_box()
    page.locator("#view-phone").check()
    phone = page.locator("#light").bounding_box()
    assert wide is not None
    assert phone is not None
    assert phone["width"] == 340 < wide["width"]
    head = page.locator(".readme-head").first
    assert not head.is_visible()
    page.locator("#view-readme").check()
    assert head.inner_text() == f"{USER} / README.md"
    visit.settle()
    assert visit.query == {"username": USER, "view": "readme"}


def test_builder_option_added_to_document_gets_control(visit: Visit) -> None:
    def add(route: "Route") -> None:
        document = route.fetch().json()
        parameters = document["paths"]["/banners/preview"]["get"]["parameters"]
        for name, schema in (
            ("sparkle", {"type": "boolean", "default": False}),
            ("far_away", {"type": "string", "enum": ["near", "far"], "default": "far"}),
            ("steps", {"type": "integer", "minimum": 1, "maximum": 5}),
        ):
            parameters.append({"name": name, "in": "query", "schema": schema})
        route.fulfill(json=document)

    visit.page.route("**/docs/openapi.json", add)
    page = visit.open(f"{START}&steps=2")
    assert visit.shown() == {"username": USER, "type": "default", "steps": "2"}
    page.get_by_text(WORDS["page"]["more_options"]).click()
    page.get_by_label("Sparkle").check()
    page.get_by_label("Far away").select_option("near")
    visit.settle()
    added = {"sparkle": "true", "far_away": "near", "steps": "2"}
    assert visit.shown() == {"username": USER, "type": "default", **added}
    assert visit.query == {"username": USER, **added}


def test_builder_reload_back_and_share_restore_choices(
    visit: Visit, visits: Callable[..., Visit]
) -> None:
    address = (
        f"{START}&type=auto-nord&layout=languages&shape=donut&hide=login%2Cstars&langs_count=3"
        "&title=%C3%9Cber+%26+%22mich%22&border=false&accent_color=f80&view=phone&code=html&ground=dark"
    )
    page = visit.open(address)
    shared = visit.query
    first = visit.shown()
    assert shared == parse_url_query(address)
    assert first == {
        name: value
        for name, value in {**shared, "type": "nord-light"}.items()
        if name not in {"view", "code", "ground"}
    }
    page.get_by_label(WORDS["values"]["layout"]["compact"], exact=True).check()
    visit.settle()
    assert visit.query["layout"] == "compact"
    page.reload()
    visit.settle()
    assert visit.shown() == {**first, "layout": "compact"}
    assert page.locator("#view-phone").is_checked()
    page.go_back()
    visit.settle()
    assert visit.query == shared
    assert visit.shown() == first
    other = visits()
    other.open(page.url)
    assert other.shown() == first
    assert other.code == visit.code


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # The address of the form without JavaScript.
        ("animate=false&animate=true&border=false&hide=stars&hide=forks&radius=&layout=classic",
         {"border": "false", "hide": "forks,stars"}),
        ("TYPE=DARK&Layout=CARD", {"type": "dark", "layout": "card"}),
        ("view=nonsense&code=nonsense&ground=nonsense", {}),
    ],
)  # fmt: skip
def test_builder_address_is_read_as_the_server_does(
    visit: Visit, query: str, expected: dict[str, str]
) -> None:
    page = visit.open(f"{START}&{query}")
    assert visit.query == {"username": USER, **expected}
    assert visit.shown() == {"username": USER, "type": "default", **expected}
    for name in ("view", "code", "ground"):
        assert page.locator(f"input[name={name}]:checked").count() == 1


# ---- The code -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["picture", "markdown", "html", "address"])
def test_builder_copied_code_works_in_a_second_page(visit: Visit, kind: str) -> None:
    page = visit.open(f"{START}&layout=card&title=A+%26+%3Cb%3E+%5Bc%5D")
    page.locator(f"#code-{kind}").check()
    with page.expect_response("**/banners") as response:
        page.locator("#copy").click()
    page.get_by_text(LIVE["copied"], exact=True).wait_for()
    assert response.value.request.method == "POST"
    copied = clipboard(page)
    assert copied == visit.code
    permanent = visit.service.url + response.value.json()["url"]
    if kind == "markdown":
        match = re.fullmatch(r"!\[(.+)\]\((\S+)\)", copied)
        assert match is not None
        markup = f'<img alt="{match[1]}" src="{match[2]}">'
    else:
        markup = f'<img alt="a" src="{copied}">' if kind == "address" else copied
    assert permanent in markup
    assert f"{visit.service.url}/banners/{USER}" in markup
    assert "/preview" not in markup
    second = visit.context.new_page()
    second.set_content(markup, wait_until="networkidle")
    picture = second.locator("img")
    picture.evaluate("picture => picture.decode()")
    assert picture.evaluate("picture => picture.naturalWidth") == 420
    assert picture.get_attribute("alt")


def test_builder_picture_code_follows_colour_scheme(visit: Visit) -> None:
    page = visit.open()
    page.locator("#copy").click()
    page.get_by_text(LIVE["copied"], exact=True).wait_for()
    second = visit.context.new_page()
    shown = {}
    for scheme in ("light", "dark"):
        second.emulate_media(color_scheme=scheme)
        second.set_content(clipboard(page), wait_until="networkidle")
        shown[scheme] = second.locator("img").evaluate("picture => picture.currentSrc")
    assert shown["dark"] != shown["light"]
    assert shown["dark"].endswith("-dark")


def test_builder_copied_is_announced_for_two_seconds(visit: Visit) -> None:
    page = visit.open()
    region = page.locator("#announcement")
    assert region.get_attribute("aria-live") == "polite"
    page.locator("#copy").click()
    page.get_by_text(LIVE["copied"], exact=True).wait_for()
    page.get_by_text(LIVE["copied"], exact=True).wait_for(state="detached")
    # A second copy makes nothing.
    posts = [url for url in visit.requested if url.endswith("/banners")]
    page.locator("#copy").click()
    page.get_by_text(LIVE["copied"], exact=True).wait_for()
    assert [url for url in visit.requested if url.endswith("/banners")] == posts


@pytest.mark.parametrize("status", [None, 503, 409])
def test_builder_copy_without_permanent_banner_copies_nothing(
    visit: Visit, status: int | None
) -> None:
    page = visit.open()
    page.evaluate("navigator.clipboard.writeText('before')")
    body = '{"error": "too many banners"}' if status == 409 else '{"error": "can\'t store banner"}'
    page.route(
        "**/banners",
        lambda route: route.fulfill(status=status, body=body) if status else route.abort(),
    )
    page.locator("#copy").click()
    reason = LIVE["no_service"] if status is None else re.findall('": "(.+)"', body)[0]
    page.get_by_text(LIVE["not_made"].format(reason=reason)).wait_for()
    assert clipboard(page) == "before"
    page.unroute("**/banners")
    page.locator("#copy").click()
    page.get_by_text(LIVE["copied"], exact=True).wait_for()
    assert f"/banners/{USER}" in clipboard(page)


def test_builder_copy_from_gateway_page_of_html_says_that_it_failed(visit: Visit) -> None:
    page = visit.open()
    page.route("**/banners", lambda route: route.fulfill(status=502, body="<html>Bad gateway"))
    page.locator("#copy").click()
    page.get_by_text(LIVE["not_made"].format(reason=LIVE["no_service"])).wait_for()


def test_builder_copy_without_user_requires_one(visit: Visit) -> None:
    page = visit.open("/")
    page.locator("#copy").click()
    page.get_by_text(LIVE["no_login"]).wait_for()
    assert page.evaluate("document.activeElement.id") == "username"
    assert not [url for url in visit.requested if url.endswith("/banners")]


def test_builder_refused_clipboard_marks_the_code(visits: Callable[..., Visit]) -> None:
    visit = visits()
    visit.page.add_init_script(
        "navigator.clipboard.writeText = () => Promise.reject(new Error('refused'));"
        "document.execCommand = () => false;"
    )
    page = visit.open()
    page.locator("#copy").click()
    page.get_by_text(LIVE["copy_refused"]).wait_for()
    assert page.evaluate("String(getSelection())").strip() == visit.code.strip()


# ---- What is wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "button", "chosen"),
    [
        ("type=darkk", "dark", {"type": "dark"}),
        ("layout=crad", "card", {"layout": "card"}),
        ("show=strs&layout=compact", "stars", {"show": "stars", "layout": "compact"}),
        ("hide=stras", "stars", {"hide": "stars"}),
        ("radius=99", "20", {"radius": "20"}),
        ("layuot=card", "layout=card", {"layout": "card"}),
        ("hide_border=false&type=dark", "border=false", {"border": "false", "type": "dark"}),
    ],
)
def test_builder_mistake_is_corrected_by_one_click(
    visit: Visit, query: str, button: str, chosen: dict[str, str]
) -> None:
    page = visit.open(f"{START}&{query}")
    assert visit.query == parse_url_query(f"{START}&{query}")
    correct = page.get_by_role("button", name=f"“{button}”")
    assert visit.is_drawn()
    correct.click()
    visit.settle()
    assert visit.query == {"username": USER, **chosen}
    assert visit.shown() == {"username": USER, "type": "default", **chosen}
    assert visit.problems == ""


def test_builder_several_mistakes_are_listed_together(visit: Visit) -> None:
    page = visit.open(f"{START}&type=darkk&layuot=card")
    assert page.locator("#problems p").count() == 2
    page.get_by_role("button", name="“layout=card”").click()
    visit.settle()
    page.get_by_role("button", name="“dark”").click()
    visit.settle()
    assert visit.query == {"username": USER, "type": "dark", "layout": "card"}
    assert visit.problems == ""


def test_builder_other_choice_ends_mistake(visit: Visit) -> None:
    page = visit.open(f"{START}&layout=crad")
    assert "“crad” is no valid value of Layout" in visit.problems
    page.get_by_label(WORDS["values"]["layout"]["compact"], exact=True).check()
    visit.settle()
    assert visit.query == {"username": USER, "layout": "compact"}
    assert visit.problems == ""


def test_builder_unknown_user_is_explained(visit: Visit) -> None:
    page = visit.open("/?username=nobody-at-all")
    assert LIVE["unknown_user"].format(value="nobody-at-all") in visit.problems
    assert page.locator("#problems").get_attribute("aria-live") == "polite"
    assert visit.is_drawn()
    assert page.locator("#timing").inner_text()


@pytest.mark.parametrize(
    ("status", "error", "word"),
    [
        (404, "contributions are hidden", "hidden_contributions"),
        (404, "organisations have no contributions", "no_contributions"),
        (503, "token required", "no_token"),
    ],
)
def test_builder_missing_contributions_are_explained_once(
    visit: Visit, status: int, error: str, word: str
) -> None:
    visit.page.route(
        "**/banners/preview**format=json",
        lambda route: route.fulfill(
            status=status, headers={"retry-after": "1"}, json={"error": error}
        ),
    )
    page = visit.open(f"{START}&layout=activity")
    page.wait_for_timeout(1200)
    assert visit.problems == LIVE[word].format(value=USER)
    assert len(visit.updates()) == 1


def test_builder_invalid_login_is_explained(visit: Visit) -> None:
    visit.open("/?username=no+body")
    assert "“no body” is no valid value of GitHub user name" in visit.problems
    assert visit.is_drawn()


def test_builder_github_down_is_explained(visit: Visit, github: BreakableSandbox) -> None:
    with github.failing("503"):
        visit.open("/?username=finn-forks")
    assert LIVE["unavailable"] in visit.problems
    assert visit.is_drawn()


def test_builder_pending_numbers_are_requested_again(visit: Visit) -> None:
    page = visit.page

    def respond_503_once(route: "Route") -> None:
        page.unroute("**/banners/preview**format=json")
        route.fulfill(status=503, headers={"retry-after": "1"}, json={"error": "later"})

    page.route("**/banners/preview**format=json", respond_503_once)
    page.goto(START)
    page.get_by_text(LIVE["waiting"]).wait_for()
    page.get_by_text(LIVE["waiting"]).wait_for(state="detached")
    visit.settle()
    assert visit.shown() == {"username": USER, "type": "default", "attempt": "1"}
    assert len(visit.updates()) == 2
    assert "attempt" not in visit.code


def test_builder_slow_first_fetch_replaces_explanation(
    visit: Visit, github: BreakableSandbox
) -> None:
    with github.slow(2.8):
        visit.open("/?username=nameless-ned")
    assert "attempt" in visit.shown()
    assert visit.problems == ""
    assert visit.is_drawn()
    assert "attempt" not in visit.code


def test_builder_dead_service_is_reported(visit: Visit) -> None:
    page = visit.open()
    page.route("**/banners/preview**", lambda route: route.abort())
    page.get_by_label(WORDS["values"]["layout"]["card"], exact=True).check()
    page.get_by_text(LIVE["unavailable"]).wait_for()


# ---- Costs --------------------------------------------------------------------------------------


def test_builder_ten_looks_fetch_one_user_once(visit: Visit, github: BreakableSandbox) -> None:
    def calls() -> int:
        counters = httpx2.get(github.url + "/_sandbox/calls").json()
        return int(counters["rest"] + counters["graphql"])

    before = calls()
    page = visit.open("/")
    assert calls() == before
    page.locator("#username").fill("sam-studies")
    page.keyboard.press("Enter")
    visit.settle()
    for look in TEN_LOOKS:
        page.get_by_label(WORDS["values"]["layout"][look["layout"]], exact=True).check()
        page.locator("#option-type").select_option(look["type"])
        visit.settle()
        assert visit.shown()["type"] == look["type"]
    updates = visit.updates()
    assert len(updates) <= 1 + 2 * len(TEN_LOOKS)
    assert calls() - before == 1
    hosts = {urlsplit(url).netloc for url in visit.requested}
    assert hosts == {urlsplit(visit.service.url).netloc}


def test_builder_gallery_loads_visible_pictures_and_cancels_others(visit: Visit) -> None:
    waiting: list[Route] = []
    cancelled: list[str] = []
    page = visit.page

    def hold(route: "Route") -> None:
        waiting.append(route)

    page.on("requestfailed", lambda request: cancelled.append(request.url))
    page.route("**/banners/preview**layout=card**", hold)
    page.goto(START)
    page.wait_for_timeout(500)
    cards = [url for url in visit.requested if "layout=card" in url]
    visit.requested.clear()
    cancelled.clear()
    total = page.locator("#themes li").count()

    def requested() -> set[str]:
        return {url for url in visit.requested if "layout=card" in url}

    page.locator("#themes").scroll_into_view_if_needed()
    visit.wait_until(requested)
    page.wait_for_timeout(300)
    first = requested()
    assert len(first) < total
    page.evaluate("scrollTo({top: document.body.scrollHeight, behavior: 'instant'})")
    visit.wait_until(lambda: requested() - first and first & set(cancelled))
    page.wait_for_timeout(300)
    last = requested() - first
    assert not last & set(cancelled)
    for route in waiting:
        if route.request.url in last:
            route.continue_()
    pictures = page.locator("#themes li:last-child img")
    pictures.evaluate("picture => picture.decode()")
    assert len(cards) < total


@pytest.mark.parametrize(
    ("width", "options"),
    [(1280, ""), (340, ""), (1280, "&show=stars,forks,commits,followers&locale=de")],
)
def test_builder_slow_pictures_shift_nothing(
    visits: Callable[..., Visit], width: int, options: str
) -> None:
    visit = visits(viewport={"width": width, "height": 700})
    page = visit.page

    def delay(route: "Route") -> None:
        page.wait_for_timeout(60)
        route.continue_()

    page.route("**/*.svg**", delay)
    page.route("**/banners/preview**", delay)
    page.goto(f"{START}&layout=card{options}")
    page.wait_for_timeout(500)
    page.evaluate("document.querySelector('#themes').scrollIntoView({behavior: 'instant'})")
    page.wait_for_timeout(600)
    page.wait_for_function("document.querySelector('#themes img').naturalWidth > 0")
    # A request that still waits for its route when the page is closed leaves a task behind.
    visit.settle()
    assert page.evaluate(SHIFTS) == []


def test_builder_other_timing_shifts_nothing(visit: Visit) -> None:
    page = visit.open()
    for text in ("Drawn in 1234 ms · 1.6 KB", "Drawn in 9 ms · 1.6 KB"):
        page.locator("#timing").evaluate("(timing, text) => { timing.textContent = text; }", text)
        page.evaluate("() => new Promise(requestAnimationFrame)")
    assert page.evaluate(SHIFTS) == []


# ---- Accessibility ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "width", "lang"),
    [
        ("light", 1280, "en"),
        ("dark", 1280, "en"),
        ("light", 340, "en"),
        ("dark", 340, "en"),
        ("dark", 1280, "ar"),
    ],
)
def test_builder_has_no_axe_violations(
    visits: Callable[..., Visit], scheme: str, width: int, lang: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    visit = visits(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = visit.open(f"{START}&type=darkk&typ=dark&lang={lang}&text_color=777")
    for summary in page.locator("summary").all():
        summary.click()
    assert page.locator("#problems p").count() == 2
    results = axe.run(page, options={"resultTypes": ["violations"]})
    assert results.response["violations"] == []
    assert results.response["testEngine"]["name"] == "axe-core"


@pytest.mark.parametrize("language", languages(), ids=lambda language: language.locale)
def test_builder_fits_narrow_and_zoomed_screens(
    visits: Callable[..., Visit], language: Any
) -> None:
    visit = visits(viewport={"width": 320, "height": 700}, locale=language.tag)
    page = visit.open(f"{START}&text_color=777")
    heading = page.get_by_role("heading", level=1).inner_text()
    assert heading == read_words(language.locale)["page"]["headline"]
    for summary in page.locator("summary").all():
        summary.click()
    # A window of 1280 pixels at 200 % is one of 640.
    for width in (640, 320):
        page.set_viewport_size({"width": width, "height": 700})
        for view in ("both", "phone", "readme"):
            page.locator(f"#view-{view}").check()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = [target for target in page.evaluate(TARGETS) if min(target[1:]) < 24]
    # A checkbox or a radio button is as large as its label.
    assert [control for control in small if 'type="checkbox"' not in control[0]] == []
    labels = page.locator(".choices label:has(input)")
    assert all((label.bounding_box() or {"height": 0})["height"] >= 24 for label in labels.all())


def test_builder_arabic_is_mirrored(visits: Callable[..., Visit]) -> None:
    visit = visits()
    page = visit.open(f"{START}&lang=ar")
    choices, result = (
        page.locator(".columns > .choices").bounding_box(),
        page.locator("#preview").bounding_box(),
    )
    assert choices is not None
    assert result is not None
    assert choices["x"] > result["x"] + result["width"]
    for selector in (".field", "#code", "#themes li a"):
        assert page.locator(selector).first.evaluate("e => getComputedStyle(e).direction") == "ltr"
    page.get_by_role("link", name="English").click()
    visit.settle()
    assert visit.query == {"username": USER, "lang": "en"}


def test_builder_keyboard_alone_does_everything(visit: Visit) -> None:
    page = visit.open("/")

    def focused() -> str:
        return str(page.evaluate("document.activeElement.id || document.activeElement.className"))

    def tab_to(identifier: str) -> None:
        for _ in range(40):
            if focused() == identifier:
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{identifier} is not reached, but {focused()}")

    page.keyboard.press("Tab")
    assert focused() == "skip"
    tab_to("username")
    page.keyboard.type(USER)
    page.keyboard.press("Enter")
    visit.settle()
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    visit.settle()
    assert visit.query["layout"] == "card"
    outline = "getComputedStyle(document.querySelector(':focus-visible + span, :focus-visible')).outlineStyle"
    assert page.evaluate(outline) == "solid"
    tab_to("option-type")
    page.keyboard.type("ink")
    visit.settle()
    assert visit.query["type"] == "ink"
    tab_to("option-border")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    tab_to("option-radius")
    page.keyboard.type("4")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    tab_to("option-accent_color")
    page.keyboard.type("0a0")
    tab_to("view-both")
    page.keyboard.press("ArrowRight")
    tab_to("code-picture")
    page.keyboard.press("ArrowRight")
    visit.settle()
    tab_to("copy")
    page.keyboard.press("Enter")
    page.get_by_text(LIVE["copied"], exact=True).wait_for()
    assert clipboard(page).startswith("![")
    expected = {"layout": "card", "type": "ink", "border": "false", "radius": "4"}
    more = {"accent_color": "0a0", "view": "phone", "code": "markdown"}
    assert visit.query == {"username": USER, **expected, **more}
    tab_to("ground-all")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    visit.settle()
    assert visit.query["type"] == "default"


def test_builder_reduced_motion_has_no_transitions(visits: Callable[..., Visit]) -> None:
    page = visits(reduced_motion="reduce").open()
    moving = "[...document.querySelectorAll('*')].filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0)"
    assert page.evaluate(f"{moving}.length") == 0
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert visits().open().evaluate(f"{moving}.length") > 0


def test_builder_form_works_without_javascript(visits: Callable[..., Visit]) -> None:
    visit = visits(java_script_enabled=False)
    page = visit.page
    page.goto("/")
    page.locator("#username").fill(USER)
    page.get_by_label(WORDS["values"]["layout"]["card"], exact=True).check()
    page.get_by_role("switch", name=WORDS["options"]["border"]).click()
    page.locator("#option-type").select_option("auto-nord")
    page.get_by_role("button", name=WORDS["page"]["draw"]).click()
    chosen = {"layout": "card", "border": "false"}
    assert visit.shown() == {"username": USER, "type": "nord-light", **chosen}
    assert visit.shown("dark") == {"username": USER, "type": "nord", **chosen}
    code = visit.code
    match = re.fullmatch(r"!\[(.+)\]\((\S+)\)", code.strip())
    assert match is not None
    assert parse_url_query(match[2]) == {"username": USER, "type": "auto-nord", **chosen}
    assert visit.service.get(match[2].removeprefix(visit.service.url)).content.startswith(b"<svg")
    assert not page.locator("#copy").is_visible()
    page.goto(f"{START}&type=darkk")
    page.get_by_role("link", name="“dark”").click()
    assert visit.query == {"username": USER, "type": "dark"}
    page.get_by_role("link", name="paper").click()
    assert visit.query == {"username": USER, "type": "paper"}


def test_builder_repository_is_drawn_without_javascript(
    visits: Callable[..., Visit], github: BreakableSandbox
) -> None:
    visit = visits(java_script_enabled=False)
    name = httpx2.get(f"{github.url}/users/{USER}/repos?per_page=1").json()[0]["name"].lower()
    page = visit.page
    page.goto(START)
    page.get_by_label(WORDS["values"]["layout"]["repository"], exact=True).check()
    page.get_by_role("button", name=WORDS["page"]["draw"]).click()
    assert visit.problems.strip() == LIVE["no_repository"]
    page.get_by_label(WORDS["options"]["repo"]).fill(name)
    page.get_by_role("button", name=WORDS["page"]["draw"]).click()
    assert visit.problems.strip() == ""
    chosen = {"layout": "repository", "repo": name}
    assert visit.shown() == {"username": USER, "type": "default", **chosen}
    assert f"GitHub repository {name}](" in visit.code
    page.goto(f"{START}&layout=card")
    group = page.get_by_role("group", name=WORDS["options"]["show"], exact=True)
    group.get_by_label(WORDS["values"]["show"]["stars"]).uncheck()
    group.get_by_label(WORDS["values"]["show"]["followers"]).check()
    page.get_by_role("button", name=WORDS["page"]["draw"]).click()
    assert visit.shown()["show"] == "forks,repositories,followers"


def test_builder_works_behind_a_path(
    github: BreakableSandbox, visits: Callable[..., Visit]
) -> None:
    with serving(github, PUBLIC_URL="https://example.org/gh") as service:
        visit = visits(service, permissions=["clipboard-read", "clipboard-write"])
        page = visit.open(f"/gh/?username={USER}")
        assert visit.is_drawn()
        page.get_by_label(WORDS["values"]["layout"]["card"], exact=True).check()
        visit.settle()
        assert urlsplit(page.url).path == "/gh/"
        page.locator("#copy").click()
        page.get_by_text(LIVE["copied"], exact=True).wait_for()
        urls = re.findall(r'(?:srcset|src)="([^"]+)"', clipboard(page))
        assert len(urls) == 2
        assert all(url.startswith(f"https://example.org/gh/banners/{USER}") for url in urls)
        paths = {urlsplit(url).path for url in visit.requested}
        assert [path for path in paths if not path.startswith("/gh/")] == []
        page.locator("#themes a").first.click()
        visit.settle()
        assert urlsplit(page.url).path == "/gh/"
