"""
PNG: the same picture as the SVG, as a browser draws that in the same fonts; and as it is served.

Two rasterisers never agree on the edges of letters. Measured with Chromium 156 over all cases: the mean
difference is 0.5 to 1.4, the worst of all blocks differs by 31. A text moved by one unit makes that
4.2 and 55 at least, one weight for all 1.0 and 53 (in compact 2.2 and 36), a text or a dot that is
missing 128 or more.
"""

import base64
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import httpx2
import pytest

from github_banners.drawing import draw, explain
from github_banners.drawing.png import FONTS, SCALE, substitute_texts, to_png
from github_banners.errors import FirstFetchPending, GitHubUnavailable
from github_banners.models import Owner, Snapshot, Stats
from github_banners.options import BannerOptions, ChartType, Layout, NumberFormat, Theme
from tests.acceptance.processes import Running, environment, reachable_dir, run, running

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")
IMAGE = "image/avif,image/webp,image/svg+xml,image/*,*/*;q=0.8"

MOST_DIFFERENCE = 1.7
"""Mean over all channels of all pixels, of 255."""
MOST_OF_A_BLOCK = 42.0
"""What the mean of 8 x 8 pixels may differ in one channel: edges even out, other geometry does not."""

LANGUAGES = {"TypeScript": 34, "Rust": 22, "Go": 15, "Python": 12, "Shell": 7, "Vue": 4, "C": 2}

COMPARE = """
async ([one, other]) => {
  const read = async data => {
    const picture = new Image()
    picture.src = 'data:image/png;base64,' + data
    await picture.decode()
    const canvas = new OffscreenCanvas(picture.width, picture.height)
    const context = canvas.getContext('2d')
    context.fillStyle = '#fff'
    context.fillRect(0, 0, canvas.width, canvas.height)
    context.drawImage(picture, 0, 0)
    return context.getImageData(0, 0, canvas.width, canvas.height)
  }
  const [first, second] = [await read(one), await read(other)]
  const {width, height} = first, side = 8
  let sum = 0, worst = 0
  for (let top = 0; top < height; top += side)
    for (let left = 0; left < width; left += side)
      for (const channel of [0, 1, 2]) {
        let difference = 0
        for (let y = top; y < Math.min(top + side, height); y += 1)
          for (let x = left; x < Math.min(left + side, width); x += 1) {
            const at = 4 * (y * width + x) + channel
            difference += first.data[at] - second.data[at]
            sum += Math.abs(first.data[at] - second.data[at])
          }
        worst = Math.max(worst, Math.abs(difference) / side / side)
      }
  return {
    sizes: [width, height, second.width, second.height],
    mean: sum / width / height / 3,
    worst,
  }
}
"""


def snapshot(
    name: str | None = "Yehuda Katz", *, number: int = 11_558, **languages: int
) -> Snapshot:
    stats = Stats(number, number, number // 3, number, number, languages or LANGUAGES)
    return Snapshot(Owner(1, "wycats", None, name), stats, datetime(2026, 11, 20, tzinfo=UTC))


def cases() -> dict[str, bytes]:
    """A handful for each layout: light, dark, both, long, foreign, old, and an explanation."""
    drawn: dict[str, bytes] = {}
    for layout in Layout:
        plain = BannerOptions(layout=layout, animate=False)
        wishes = {
            "plain": draw(snapshot(), plain),
            "dark": draw(snapshot(), BannerOptions(layout=layout, theme=Theme.DARK)),
            "both grounds": draw(snapshot(), BannerOptions(layout=layout, theme=Theme.AUTO)),
            "long name": draw(snapshot("Maximiliane-Alexandra von Wittgenstein-Hohenlohe"), plain),
            "Vietnamese": draw(snapshot("Nguyễn Thị Phương Thảo"), plain),
            "Cyrillic": draw(snapshot("Константин Щукин"), plain),
            "Greek": draw(snapshot("Ελένη Παπαδοπούλου"), plain),
            "boxes": draw(snapshot("佐藤 美咲"), plain),
            "old, in full": draw(
                snapshot(number=1_234_567),
                BannerOptions(layout=layout, number_format=NumberFormat.LONG),
                as_of=date(2026, 11, 20),
            ),
            "round, no border": draw(
                snapshot(), BannerOptions(layout=layout, border=False, radius=20)
            ),
            "explained": explain(GitHubUnavailable(), options=plain),
            "counting": explain(
                FirstFetchPending("wycats"),
                options=BannerOptions(layout=layout, theme=Theme("ink")),
            ),
        }
        drawn |= {f"{layout}: {name}": svg for name, svg in wishes.items()}
    donut = BannerOptions(layout=Layout.LANGUAGES, shape=ChartType.DONUT, theme=Theme("nord"))
    return {**drawn, "languages: donut": draw(snapshot(), donut)}


CASES = cases()


@pytest.fixture(scope="module")
def page() -> "Iterator[Page]":
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    options = ["--no-sandbox", "--disable-gpu", "--font-render-hinting=none", "--disable-lcd-text"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=options)
        page = browser.new_page(
            device_scale_factor=SCALE,
            color_scheme="light",
            reduced_motion="reduce",
            viewport={"width": 900, "height": 260},
        )
        yield page
        browser.close()


def faces() -> str:
    """Our fonts, in the place of all others."""
    styles = ((400, "Regular"), (600, "SemiBold"))
    rules = [
        f"@font-face{{font-family:Banners;font-weight:{weight};"
        f"src:url(data:font/ttf;base64,{_base64(FONTS / f'BannersSans-{style}.ttf')})}}"
        for weight, style in styles
    ]
    return "".join(rules) + "svg,svg *{font-family:Banners!important;font-optical-sizing:none}"


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def photograph(page: "Page", svg: bytes) -> bytes:
    """How the browser draws it in our fonts, with the same boxes for what these do not cover."""
    body = f'<style>{faces()}svg{{display:block}}</style><body style="margin:0">'
    page.set_content(f"<!doctype html>{body}{substitute_texts(svg.decode())}")
    load = "Promise.all([400, 600].map(weight => document.fonts.load(`${weight} 16px Banners`)))"
    page.evaluate(load)
    return page.locator("svg").screenshot(omit_background=True)


@pytest.mark.browser
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", CASES)
def test_a_browser_draws_the_same(page: "Page", name: str) -> None:
    pictures = [photograph(page, CASES[name]), to_png(CASES[name])]
    compared: Any = page.evaluate(COMPARE, [base64.b64encode(one).decode() for one in pictures])
    wide, high = (int(ET.fromstring(CASES[name]).attrib[one]) for one in ("width", "height"))
    assert compared["sizes"] == [SCALE * wide, SCALE * high] * 2
    assert compared["mean"] < MOST_DIFFERENCE
    assert compared["worst"] < MOST_OF_A_BLOCK


@pytest.fixture(scope="module")
def service(github: Running) -> Iterator[Running]:
    with reachable_dir() as folder:
        settings = {"PORT": "0", "DATA_DIR": str(folder), "GITHUB_API_URL": github.url}
        with running("serve", env=environment(**settings, RATE_LIMIT_RPS="1000")) as served:
            yield served


def made(service: Running, **wish: str) -> str:
    """Make a permanent banner."""
    url: str = httpx2.post(f"{service.url}/banners", json=wish, trust_env=False).json()["url"]
    return url


def children_of(parent: int) -> list[int]:
    """The processes that a process has started."""
    children = Path("/proc").glob(f"{parent}/task/*/children")
    return [int(one) for entry in children for one in entry.read_text().split()]


def workers_of(parent: int) -> list[int]:
    """Those of them that draw PNG."""
    return [
        one
        for one in children_of(parent)
        if b"serving.craftsman" in Path(f"/proc/{one}/cmdline").read_bytes()
    ]


@pytest.mark.postgres
@pytest.mark.parametrize("repeat", ["cold", "hot"])
def test_a_png_has_every_header(service: Running, repeat: str) -> None:
    path = f"/banners/preview?username=mia-maintains&title={repeat}&format=PNG"
    first = service.get(path)
    answer = service.get(path, accept_encoding="gzip") if repeat == "hot" else first
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.content == first.content
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "content-encoding" not in answer.headers
    assert "vary" not in answer.headers
    etag = answer.headers["etag"]
    assert etag.startswith('"')
    assert int(answer.headers["content-length"]) == len(answer.content)
    again = service.get(path, if_none_match=etag)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    head = httpx2.head(service.url + path, trust_env=False)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(answer.content)))


@pytest.mark.postgres
def test_a_png_is_drawn_from_the_svg(service: Running) -> None:
    """And the SVG and the numbers are answered as if there was no other form."""
    url = made(service, username="mia-maintains", type="dark")
    svg, named, png = (service.get(url + suffix) for suffix in ("", ".svg", ".png"))
    assert svg.content == named.content
    assert svg.headers["content-type"].startswith("image/svg+xml")
    assert svg.headers["vary"] == "Accept-Encoding"
    assert png.headers["content-type"] == "image/png"
    assert png.content == to_png(svg.content)
    assert png.content == service.get(url.upper().replace("/BANNERS", "/banners") + ".PNG").content
    preview = "/banners/preview?username=mia-maintains&type=dark&format="
    assert service.get(preview + "png").content == png.content
    assert service.get(preview + "svg").content == svg.content
    assert service.get(preview + "json").json()["username"] == "mia-maintains"
    assert service.get(url + ".json").headers["content-type"] == "application/json"


@pytest.mark.postgres
@pytest.mark.parametrize(
    "path",
    [
        "/banners/nobody-dark.png",
        "/banners/preview?username=nobody-of-this-name&format=png",
        "/banners/preview?username=mia-maintains&format=png&radius=99",
        "/banners/preview?username=-a&format=png",
    ],
)
def test_explanation_is_a_png_where_one_was_asked_for(service: Running, path: str) -> None:
    for accept in (IMAGE, "*/*"):
        drawn = service.get(path, accept=accept)
        assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/png")
        assert drawn.headers["vary"] == "Accept"
        assert drawn.content.startswith(b"\x89PNG")
    other = service.get(path.replace("png", "svg"), accept=IMAGE)
    assert ET.fromstring(other.content).tag.endswith("svg")


@pytest.mark.postgres
def test_a_worker_that_is_killed_is_replaced(service: Running) -> None:
    path = "/banners/preview?username=camelcleo&format=png&title="
    assert service.get(path + "first").headers["content-type"] == "image/png"
    (before,) = workers_of(service.process.pid)
    os.kill(before, signal.SIGKILL)
    types = [service.get(f"{path}{at}").headers["content-type"] for at in ("a", "b")]
    (after,) = workers_of(service.process.pid)
    assert after != before
    # Whoever met the dead one was answered all the same.
    assert types[0] in {"image/png", "image/svg+xml; charset=utf-8"}


@pytest.mark.postgres
def test_more_than_can_be_drawn_gets_the_svg_and_nobody_waits_long(service: Running) -> None:
    service.get("/banners/preview?username=mia-maintains")
    paths = [f"/banners/preview?username=mia-maintains&format=png&title=n{at}" for at in range(40)]
    with ThreadPoolExecutor(40) as pool:
        answers = [*pool.map(service.get, paths)]
        meanwhile = service.get("/banners/preview?username=mia-maintains&title=svg")
    assert meanwhile.headers["content-type"].startswith("image/svg+xml")
    assert {one.status_code for one in answers} == {200}
    assert max(one.elapsed.total_seconds() for one in answers) < 3.5
    instead = [one for one in answers if one.headers["content-type"] != "image/png"]
    assert 0 < len(instead) < 40
    for one in instead:
        assert one.headers["cache-control"].startswith("public, max-age=30,")
        assert one.headers["x-accel-expires"] == "0"
        assert ET.fromstring(one.content).tag.endswith("svg")
    # None of it is kept: asked again, there is time.
    later = service.get(paths[answers.index(instead[-1])])
    assert later.headers["content-type"] == "image/png"


@pytest.mark.postgres
def test_the_stored_drawing_is_a_png_too_when_postgresql_is_away(github: Running) -> None:
    with reachable_dir() as folder:
        settings = {"PORT": "0", "DATA_DIR": str(folder), "GITHUB_API_URL": github.url}
        with running("serve", env=environment(**settings)) as served:
            url = made(served, username="mia-maintains")
            pictures = [served.get(url + suffix).content for suffix in (".svg", ".png")]
        away = environment(**settings, DB_HOST="127.0.0.1", PGPORT="1", POSTGRES_PASSWORD="x")
        with running("serve", env=away) as served:
            answers = [served.get(url + suffix) for suffix in (".svg", ".png")]
    assert [one.content for one in answers] == pictures
    assert answers[1].headers["content-type"] == "image/png"
    assert answers[1].headers["cache-control"].startswith("public, max-age=30,")


@pytest.mark.postgres
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_takes_its_worker_along(github: Running, number: signal.Signals) -> None:
    with reachable_dir() as folder:
        settings = {"PORT": "0", "DATA_DIR": str(folder), "GITHUB_API_URL": github.url}
        with running("serve", "--workers", "2", env=environment(**settings)) as served:
            processes = children_of(served.process.pid)
            assert not any(map(workers_of, processes))
            path = "/banners/preview?username=mia-maintains&format=png&title="
            for at in range(8):
                assert served.get(f"{path}{at}").headers["content-type"] == "image/png"
            drawing = [one for process in processes for one in workers_of(process)]
            assert drawing
            assert all(len(workers_of(process)) <= 1 for process in processes)
            begun = time.monotonic()
            served.stop(number)
            while any(Path(f"/proc/{one}").exists() for one in drawing):
                assert time.monotonic() < begun + 10
                time.sleep(0.01)


def test_a_file_that_is_called_png_is_one(github: Running, tmp_path: Path) -> None:
    env = environment(GITHUB_API_URL=github.url)
    files = [tmp_path / name for name in ("me.svg", "me.png", "ME.PNG")]
    ended = [run("render", "mia-maintains", "-o", str(file), env=env) for file in files]
    assert [one.returncode for one in ended] == [0, 0, 0]
    svg, *pngs = (file.read_bytes() for file in files)
    assert pngs == [to_png(svg)] * 2
