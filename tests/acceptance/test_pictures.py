"""
The pictures in a real browser, in whatever fonts are installed: nothing overflows, nothing touches.

A picture's media queries see the width it is drawn at: here the viewport's.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from github_banners import errors
from github_banners.drawing import draw, explain
from github_banners.look import Look, NumberFormat, Theme
from github_banners.model import Owner, Snapshot, Stats

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}"),
]

FAMILIES = ["Noto Sans", "DejaVu Sans", "Liberation Sans", "Roboto", "Inter", "sans-serif"]
WIDE, NARROW = 846, 340

NAMES = {
    "one character": "i",
    "39 characters": "m" * 39,
    "narrow letters": "il" * 32,
    "capitals": "W" * 26,
    "long": "Maximiliane-Alexandra von Wittgenstein-Hohenlohe zu Berleburg",
    "Vietnamese": "Nguyễn Thị Phương Thảo Huỳnh Trần Đặng Khánh Vân",
    "Cyrillic": "Константин Константинович Щукин-Жуковский",
    "Japanese": "佐藤 美咲（さとう みさき）東京ソフトウェア開発研究所",
    "Korean": "김수한무거북이와두루미삼천갑자동방삭치치카포사리사리센타",
    "Arabic": "الدكتور عبد الرحمن بن محمد بن عبد العزيز آل الشيخ الهاشمي",
    "Hebrew": "נועה לוי־כהן מתל אביב־יפו שבישראל היפה",
    "Thai": "สมชาย ศรีสุวรรณ ณ อยุธยา เกียรติศักดิ์ประเสริฐ",
    "Hindi": "राजेन्द्र प्रसाद श्रीवास्तव चतुर्वेदी",
    "emoji with joiners": "👩‍👩‍👧‍👦 Zoë 🏳️‍🌈 ❤️❤️ 👨🏽‍💻 🇩🇪🇫🇷 1️⃣",
    "combining marks": "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
    "both directions": "Layla ليلى 42 חדד Haddad",
}
NUMBERS = [0, 9_999, 10_000, 88_888, 999_950, 1_234_567, 2_147_483_647]
LONGEST = [
    "Mathematical Programming System",
    "Cloud Firestore Security Rules",
    "World of Warcraft Addon Data",
    "Debian Package Control File",
    "WebAssembly Interface Type",
    "Velocity Template Language",
    "Jupyter Notebook",
    "Emacs Lisp",
]
LANGUAGES = {
    "none": {},
    "one": {"Go": 3},
    "six": {"TypeScript": 34, "Rust": 22, "Go": 15, "Python": 12, "Shell": 7, "Vue": 4},
    "sixty": {f"{name} {at}": 60 - at for at, name in enumerate(["Language", "C"] * 30)},
    "longest": {name: 20 - at for at, name in enumerate(LONGEST)},
    "short": {name: 20 - at for at, name in enumerate(["C", "D", "R", "Go", "Qt", "V", "J", "Q"])},
    "Arabic": {"لغة البرمجة": 2, "שפת תכנות": 1, "Go": 1},
}
ERRORS: dict[str, errors.BannersError] = {
    "unknown user": errors.UnknownUser("m" * 39),
    "an Arabic user": errors.UnknownUser(NAMES["Arabic"]),
    "GitHub": errors.GitHubUnavailable(),
    "too many": errors.TooManyRequests(40),
    "type": errors.InvalidType("type", "W" * 64, ("default", "dark", "auto")),
    "colour": errors.InvalidOption("bg_color", "?", ("a hex colour of 3, 4, 6 or 8 digits",)),
    "username": errors.InvalidOption("username", "-" * 64, ("a login",)),
    "banner": errors.UnknownBanner("x"),
    "counting": errors.StillCounting("maximiliane-alexandra-von-wittgenstein1"),
    "busy": errors.Busy(),
    "database": errors.DatabaseUnavailable(),
}

# Finds texts that leave the card or meet another text, in every font family. Boxes are as wide as
# the advances, and reach from the height of capitals to the depth of a g.
FIND_FAULTS = """
families => {
  const svg = document.querySelector('svg')
  svg.style.width = '100%'
  svg.style.height = 'auto'
  svg.style.display = 'block'
  const override = document.head.appendChild(document.createElement('style'))
  const faults = []
  for (const family of families) {
    override.textContent =
      `svg text { font-family: '${family}', sans-serif !important }
       svg * { animation: none !important }`
    const card = svg.getBoundingClientRect()
    const scale = card.width / 846
    const boxes = []
    for (const text of svg.querySelectorAll('text')) {
      if (!text.getClientRects().length || !text.textContent.trim()) continue
      const matrix = text.getScreenCTM()
      const size = parseFloat(getComputedStyle(text).fontSize) * matrix.a
      const box = text.getBBox()
      const origin = text.getStartPositionOfChar(0)
      const baseline = matrix.d * origin.y + matrix.f
      const left = matrix.a * box.x + matrix.e
      boxes.push({
        text: text.textContent,
        left, right: left + matrix.a * box.width,
        top: baseline - 0.72 * size, bottom: baseline + 0.22 * size,
      })
    }
    for (const box of boxes) {
      if (box.left < card.left + 8 * scale || box.right > card.right - 8 * scale
          || box.top < card.top || box.bottom > card.bottom)
        faults.push(`${family}: ${box.text} leaves the card`)
    }
    boxes.forEach((one, at) => boxes.slice(at + 1).forEach(other => {
      if (one.left < other.right && other.left < one.right
          && one.top < other.bottom && other.top < one.bottom)
        faults.push(`${family}: ${one.text} touches ${other.text}`)
    }))
    if (!boxes.length) faults.push(`${family}: there is no text`)
  }
  override.remove()
  return faults
}
"""


@pytest.fixture(scope="module")
def page() -> "Iterator[Page]":
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser.new_page()
        browser.close()


def _snapshot(
    name: str | None = "Yehuda Katz",
    *,
    login: str = "wycats",
    number: int = 1_635,
    languages: dict[str, int] | None = None,
) -> Snapshot:
    counts = LANGUAGES["six"] if languages is None else languages
    stats = Stats(number, number, number // 3, number, number, counts)
    return Snapshot(Owner(1, login, None, name), stats, datetime(2026, 11, 20, tzinfo=UTC))


def _show(page: "Page", svg: bytes, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 400})
    page.set_content(f'<!doctype html><body style="margin:0">{svg.decode()}')


def _faults(page: "Page", *pictures: bytes) -> list[str]:
    faults = []
    for svg in pictures:
        for width in (WIDE, NARROW):
            _show(page, svg, width)
            faults += [f"{width}: {one}" for one in page.evaluate(FIND_FAULTS, FAMILIES)]
    return faults


@pytest.mark.parametrize("theme", [Theme.DEFAULT, Theme.DARK])
@pytest.mark.parametrize("name", NAMES)
def test_every_name_stays_in_its_room(page, name, theme):
    long_login = _snapshot(NAMES[name], login="m" * 39)
    pictures = [
        draw(_snapshot(NAMES[name]), Look(theme=theme)),
        draw(long_login, Look(theme=theme)),
    ]
    assert _faults(page, *pictures) == []


@pytest.mark.parametrize("number", NUMBERS)
def test_every_number_stays_in_its_room(page, number):
    looks = [Look(number_format=number_format) for number_format in NumberFormat]
    assert _faults(page, *(draw(_snapshot(number=number), look) for look in looks)) == []


@pytest.mark.parametrize("languages", LANGUAGES)
def test_every_legend_stays_in_its_room(page, languages):
    one = _snapshot(languages=LANGUAGES[languages])
    pictures = [draw(one, Look(langs_count=count)) for count in (None, 1, 3, 10)]
    assert _faults(page, *pictures, draw(one, Look(), as_of=date(2026, 11, 28))) == []


def test_remarks_stay_in_their_room(page):
    nothing = _snapshot(None, login="first-commit", number=0, languages={})
    assert (
        _faults(page, draw(nothing, Look()), draw(nothing, Look(), as_of=date(2026, 9, 28))) == []
    )


@pytest.mark.parametrize("state", ERRORS)
def test_every_explanation_stays_in_its_room(page, state):
    pictures = [explain(ERRORS[state], look=Look(theme=theme), host="h" * 60) for theme in Theme]
    assert _faults(page, *pictures) == []


def test_one_file_is_wide_or_narrow(page):
    shown = "id => getComputedStyle(document.getElementById(id)).display"
    for width, wide, narrow in ((WIDE, "inline", "none"), (NARROW, "none", "inline")):
        _show(page, draw(_snapshot(), Look()), width)
        assert (page.evaluate(shown, "w"), page.evaluate(shown, "n")) == (wide, narrow)


def test_one_file_is_light_or_dark(page):
    fill = "getComputedStyle(document.querySelector('.c')).fill"
    for scheme, colour in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(13, 17, 23)")):
        page.emulate_media(color_scheme=scheme)
        _show(page, draw(_snapshot(), Look(theme=Theme.AUTO)), WIDE)
        assert page.evaluate(fill) == colour
    page.emulate_media(color_scheme=None)


def test_motion_is_short_and_only_for_those_who_want_it(page):
    lasting = """document.getAnimations().map(one => {
      const {delay, duration, iterations} = one.effect.getTiming()
      return (delay + duration) * iterations
    })"""
    for wish, animate, moves in (
        ("no-preference", True, True),
        ("reduce", True, False),
        ("no-preference", False, False),
    ):
        page.emulate_media(reduced_motion=wish)
        _show(page, draw(_snapshot(), Look(animate=animate)), WIDE)
        milliseconds = page.evaluate(lasting)
        assert bool(milliseconds) == moves
        assert max(milliseconds, default=0) <= 800
    page.emulate_media(reduced_motion=None)
