"""
A PNG equals the browser's rendering of the SVG with the same fonts; and how PNGs are served.

Rasterisers differ at the edges of letters. Measured with Chromium 156 over all cases, the mean
difference is 0.5 to 1.4, and the worst block differs by 31. Moving a text by one unit makes that at
least 4.2 and 55, using one weight for all texts 1.0 and 53 (in compact 2.2 and 36), and removing a
text or a dot 128 or more.
"""

import base64
import os
import signal
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import httpx2
import pytest
from msgspec.structs import replace

from github_banners.drawing import draw, explain
from github_banners.drawing.fallback_fonts import WORDS_FOLDER
from github_banners.drawing.png import SCALE, to_png
from github_banners.drawing.png_text import FONTS, choose_fonts
from github_banners.errors import FetchPending, GitHubUnavailable, InvalidOption
from github_banners.models import Owner, Snapshot, Stats
from github_banners.options import BannerOptions, ChartType, Layout, Locale, NumberFormat, Theme
from tests.acceptance.chromium import running_chromium
from tests.acceptance.fault_checks import wait_until
from tests.acceptance.processes import Running, environment, prepared_data_dir, run, running
from tests.machine_fonts import set_machine_fonts
from tests.snapshots import REPOSITORY, make_activity

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGE = "image/avif,image/webp,image/svg+xml,image/*,*/*;q=0.8"

MAX_DIFFERENCE = 1.7
"""Largest mean difference over all channels of all pixels, of 255."""
MAX_BLOCK_DIFFERENCE = 42.0
"""Largest difference of the mean of 8 x 8 pixels in a channel: antialiasing averages out there."""

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
    return Snapshot(
        Owner(1, "wycats", None, name),
        stats,
        datetime(2026, 11, 20, tzinfo=UTC),
        activity=make_activity(),
        repository=replace(REPOSITORY, description=name),
    )


STALE = date(2026, 11, 20)


def in_locale(code: str, layout: Layout) -> BannerOptions:
    return BannerOptions(layout=layout, locale=Locale(code), animate=False)


def cases() -> dict[str, bytes]:
    """Return pictures of each layout: light, dark, auto, long, foreign, old, and an explanation."""
    drawn: dict[str, bytes] = {}
    for layout in Layout:
        plain = BannerOptions(layout=layout, animate=False)
        option_cases = {
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
                as_of=STALE,
            ),
            "round, no border": draw(
                snapshot(), BannerOptions(layout=layout, border=False, radius=20)
            ),
            "explained": explain(GitHubUnavailable(), options=plain),
            "counting": explain(
                FetchPending("wycats"),
                options=BannerOptions(layout=layout, theme=Theme("ink")),
            ),
        }
        drawn |= {f"{layout}: {name}": svg for name, svg in option_cases.items()}
    donut = BannerOptions(layout=Layout.LANGUAGES, shape=ChartType.DONUT, theme=Theme("nord"))
    foreign = {
        "Arabic": draw(snapshot("ليلى الخوري"), in_locale("ar", Layout.CLASSIC), as_of=STALE),
        "Hebrew": draw(snapshot("דנה לוי"), in_locale("he", Layout.LANGUAGES), as_of=STALE),
        "Japanese": draw(snapshot(), in_locale("ja", Layout.CARD), as_of=STALE),
        "Persian": explain(GitHubUnavailable(), options=in_locale("fa", Layout.CARD)),
    }
    return {**drawn, **foreign, "languages: donut": draw(snapshot(), donut)}


CASES = cases()


@pytest.fixture(scope="module")
def page() -> "Iterator[Page]":
    with running_chromium("--font-render-hinting=none", "--disable-lcd-text") as browser:
        page = browser.new_page(
            device_scale_factor=SCALE,
            color_scheme="light",
            reduced_motion="reduce",
            viewport={"width": 900, "height": 260},
        )
        style = f"{faces()}svg{{display:block;font-optical-sizing:none;font-synthesis:none}}"
        page.set_content(f'<!doctype html><style>{style}</style><body style="margin:0">')
        fonts = [f'{weight} 16px "{family}"' for family, weight in FACES]
        page.evaluate("fonts => Promise.all(fonts.map(font => document.fonts.load(font)))", fonts)
        yield page


@pytest.fixture(autouse=True)
def no_machine_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    set_machine_fonts(monkeypatch)


FACES = {
    ("Banners Sans", 400): FONTS / "BannersSans-Regular.ttf",
    ("Banners Sans", 600): FONTS / "BannersSans-SemiBold.ttf",
    **{
        (f"Banners Words {script}", 400): next(Path(WORDS_FOLDER).glob(f"BannersWords{script}-*"))
        for script in ("Arabic", "Hebrew", "Devanagari", "CJK")
    },
}


def faces() -> str:
    """Return style rules that define the bundled fonts."""
    return "".join(
        f"@font-face{{font-family:{family!r};font-weight:{weight};"
        f"src:url(data:font/ttf;base64,{base64.b64encode(path.read_bytes()).decode()})}}"
        for (family, weight), path in FACES.items()
    )


def photograph(page: "Page", markup: str) -> bytes:
    """Return the browser's rendering of an SVG, in the bundled fonts that it names."""
    page.evaluate("markup => { document.body.innerHTML = markup }", markup)
    return page.locator("svg").screenshot(omit_background=True)


@pytest.mark.browser
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", CASES)
def test_png_looks_like_browser_rendering(page: "Page", name: str) -> None:
    """The browser gets the markup in which each text names its font, and each box is a character."""
    pictures = [photograph(page, choose_fonts(CASES[name].decode())[0]), to_png(CASES[name])]
    compared: Any = page.evaluate(
        COMPARE, [base64.b64encode(picture).decode() for picture in pictures]
    )
    wide, high = (int(ET.fromstring(CASES[name]).attrib[side]) for side in ("width", "height"))
    assert compared["sizes"] == [SCALE * wide, SCALE * high] * 2
    assert compared["mean"] < MAX_DIFFERENCE
    assert compared["worst"] < MAX_BLOCK_DIFFERENCE


INK = """
async ([picture, isMirrored]) => {
  const image = new Image()
  image.src = 'data:image/png;base64,' + picture
  await image.decode()
  const canvas = new OffscreenCanvas(image.width, image.height)
  const context = canvas.getContext('2d')
  context.fillStyle = '#fff'
  context.fillRect(0, 0, canvas.width, canvas.height)
  if (isMirrored) context.setTransform(-1, 0, 0, 1, image.width, 0)
  context.drawImage(image, 0, 0)
  const {data} = context.getImageData(0, 0, image.width, image.height)
  const ink = new Array(Math.ceil(image.width / 16)).fill(0)
  for (let at = 0; at < data.length; at += 4)
    ink[Math.floor(at / 4 % image.width / 16)] += 255 - data[at + 1]
  return ink
}
"""
"""Returns the darkness of each stripe of 16 columns."""


@pytest.mark.browser
@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ar", "(ليلى) Smith 42"),
        ("he", "דנה Smith 42 לוי"),
        ("fa", "سارا: ۴۲، Smith"),
        ("hi", "राज"),
    ],
)
def test_png_text_is_in_the_order_of_the_browser(page: "Page", code: str, name: str) -> None:
    """The browser gets the SVG as it is, so that its own font matching and reordering apply."""
    svg = explain(InvalidOption("layout", name, ()), options=in_locale(code, Layout.CARD))
    text = svg.decode()
    without_details = (text[: text.index("<rect")] + text[text.index('<g id="h"') :]).encode()
    fonts = ",".join(repr(family) for family, _ in FACES)
    rule = f"<style>svg *{{font-family:{fonts}!important}}</style>"
    pictures = [photograph(page, rule + without_details.decode()), to_png(without_details)]
    expected, drawn = (_ink(page, picture) for picture in pictures)
    mirrored = _ink(page, pictures[1], is_mirrored=True)
    # Measured: .015 to .035, and .24 if mirrored.
    assert _difference(expected, drawn) < 0.06
    assert _difference(expected, mirrored) > 0.15


def _ink(page: "Page", picture: bytes, *, is_mirrored: bool = False) -> list[float]:
    ink: list[float] = page.evaluate(INK, [base64.b64encode(picture).decode(), is_mirrored])
    return ink


def _difference(expected: list[float], drawn: list[float]) -> float:
    pairs = zip(expected, drawn, strict=True)
    return sum(abs(first - second) for first, second in pairs) / sum(expected)


@pytest.fixture(scope="module")
def service(github: Running) -> Iterator[Running]:
    with prepared_data_dir() as folder:
        settings = {"PORT": "0", "DATA_DIR": str(folder), "GITHUB_API_URL": github.url}
        with running("serve", env=environment(**settings, RATE_LIMIT_RPS="1000")) as service:
            wait_for_png(service, "/banners/preview?username=mia-maintains&format=png&title=first")
            yield service


def wait_for_png(service: Running, path: str) -> None:
    """While the process that converts starts on a busy machine, the service sends the SVG."""
    wait_until(lambda: service.get(path).headers["content-type"] == "image/png", limit=60)


def create_banner(service: Running, **options: str) -> str:
    """Create a permanent banner, and return its path."""
    url: str = httpx2.post(f"{service.url}/banners", json=options, trust_env=False).json()["url"]
    return url


def find_children(parent: int) -> list[int]:
    """Return the child processes of a process."""
    children = Path("/proc").glob(f"{parent}/task/*/children")
    return [int(pid) for entry in children for pid in entry.read_text().split()]


def find_png_workers(parent: int) -> list[int]:
    """Return the PNG workers of a process."""
    return [
        pid
        for pid in find_children(parent)
        if b"serving.worker_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


@pytest.mark.postgres
@pytest.mark.parametrize("repeat", ["cold", "hot"])
def test_png_response_has_every_header(service: Running, repeat: str) -> None:
    path = f"/banners/preview?username=mia-maintains&title={repeat}&format=PNG"
    first = service.get(path)
    response = service.get(path, accept_encoding="gzip") if repeat == "hot" else first
    assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
    assert response.content == first.content
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "content-encoding" not in response.headers
    assert "vary" not in response.headers
    etag = response.headers["etag"]
    assert etag.startswith('"')
    assert int(response.headers["content-length"]) == len(response.content)
    again = service.get(path, if_none_match=etag)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    head = httpx2.head(service.url + path, trust_env=False)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(response.content)))


@pytest.mark.postgres
def test_png_is_drawn_from_the_svg(service: Running) -> None:
    """The SVG and the JSON responses are the same before and after."""
    url = create_banner(service, username="mia-maintains", type="dark")
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
def test_explanation_of_png_request_is_png(service: Running, path: str) -> None:
    for accept in (IMAGE, "*/*"):
        drawn = service.get(path, accept=accept)
        assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/png")
        assert drawn.headers["vary"] == "Accept"
        assert drawn.content.startswith(b"\x89PNG")
    other = service.get(path.replace("png", "svg"), accept=IMAGE)
    assert ET.fromstring(other.content).tag.endswith("svg")


@pytest.mark.postgres
def test_killed_png_worker_is_replaced(service: Running) -> None:
    path = "/banners/preview?username=camelcleo&format=png&title="
    assert service.get(path + "first").headers["content-type"] == "image/png"
    (before,) = find_png_workers(service.process.pid)
    os.kill(before, signal.SIGKILL)
    types = [service.get(f"{path}{number}").headers["content-type"] for number in ("a", "b")]
    (after,) = find_png_workers(service.process.pid)
    assert after != before
    # Requests to the killed worker got a picture, too.
    assert types[0] in {"image/png", "image/svg+xml; charset=utf-8"}


@pytest.mark.postgres
def test_overloaded_png_worker_falls_back_to_svg_in_time(service: Running) -> None:
    service.get("/banners/preview?username=mia-maintains")
    paths = [
        f"/banners/preview?username=mia-maintains&format=png&title=n{number}"
        for number in range(40)
    ]
    # Of one client: creating 40 takes the time in which as many pictures are drawn.
    with (
        httpx2.Client(base_url=service.url, timeout=30, trust_env=False) as client,
        ThreadPoolExecutor(40) as pool,
    ):
        responses = [*pool.map(client.get, paths)]
        meanwhile = service.get("/banners/preview?username=mia-maintains&title=svg")
    assert meanwhile.headers["content-type"].startswith("image/svg+xml")
    assert {response.status_code for response in responses} == {200}
    assert max(response.elapsed.total_seconds() for response in responses) < 3.5
    instead = [
        response for response in responses if response.headers["content-type"] != "image/png"
    ]
    assert 0 < len(instead) < 40
    for response in instead:
        assert response.headers["cache-control"].startswith("public, max-age=30,")
        assert response.headers["x-accel-expires"] == "0"
        assert ET.fromstring(response.content).tag.endswith("svg")
    # The fallback is not cached: a later request gets the PNG.
    later = service.get(paths[responses.index(instead[-1])])
    assert later.headers["content-type"] == "image/png"


@pytest.mark.postgres
def test_stored_drawing_without_postgresql_is_served_as_png(github: Running) -> None:
    with prepared_data_dir() as folder:
        settings = {"PORT": "0", "DATA_DIR": str(folder), "GITHUB_API_URL": github.url}
        with running("serve", env=environment(**settings)) as service:
            url = create_banner(service, username="mia-maintains")
            wait_for_png(service, f"{url}.png")
            pictures = [service.get(url + suffix).content for suffix in (".svg", ".png")]
        env = environment(**settings, DB_HOST="127.0.0.1", PGPORT="1", POSTGRES_PASSWORD="x")
        with running("serve", env=env) as service:
            wait_for_png(service, f"{url}.png")
            responses = [service.get(url + suffix) for suffix in (".svg", ".png")]
            page, preview = (service.get(url + suffix) for suffix in ("/", "/og.png"))
            missing = service.get("/banners/nobody-here/")
    assert [response.content for response in responses] == pictures
    assert responses[1].headers["content-type"] == "image/png"
    assert responses[1].headers["cache-control"].startswith("public, max-age=30,")
    # The owner is not known, but the drawing has the numbers in words.
    assert page.status_code == 200
    assert "(@mia-maintains)" in page.text
    assert page.headers["cache-control"].startswith("public, max-age=30,")
    assert preview.headers["content-type"] == "image/png"
    assert struct.unpack_from(">II", preview.content, 16) == (1200, 630)
    assert (missing.status_code, missing.headers["retry-after"]) == (503, "30")
    assert "Numbers can’t be read right now" in missing.text


@pytest.mark.postgres
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_png_worker_ends_with_its_parent(github: Running, number: signal.Signals) -> None:
    with prepared_data_dir() as folder:
        settings = {"PORT": "0", "DATA_DIR": str(folder), "GITHUB_API_URL": github.url}
        with running("serve", "--workers", "2", env=environment(**settings)) as service:
            processes = find_children(service.process.pid)
            assert not any(map(find_png_workers, processes))
            path = "/banners/preview?username=mia-maintains&format=png&title="
            for index in range(8):
                wait_for_png(service, f"{path}{index}")
            drawing = [pid for process in processes for pid in find_png_workers(process)]
            assert drawing
            assert all(len(find_png_workers(process)) <= 1 for process in processes)
            started = time.monotonic()
            service.stop(number)
            while any(Path(f"/proc/{pid}").exists() for pid in drawing):
                assert time.monotonic() < started + 10
                time.sleep(0.01)


def test_render_to_png_path_writes_png(github: Running, tmp_path: Path) -> None:
    env = environment(GITHUB_API_URL=github.url)
    files = [tmp_path / name for name in ("me.svg", "me.png", "ME.PNG")]
    result = [run("render", "mia-maintains", "-o", str(file), env=env) for file in files]
    assert [process.returncode for process in result] == [0, 0, 0]
    svg, *pngs = (file.read_bytes() for file in files)
    assert pngs == [to_png(svg)] * 2
