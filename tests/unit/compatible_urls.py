"""
URLs of other services: the examples of their READMEs, and what their tests request.

Each has the query of the preview that it stands for. `USER` and `REPO` stand for names.
"""

from typing import NamedTuple
from urllib.parse import urlencode


class Example(NamedTuple):
    """A URL without its host, and the query of the preview as options."""

    url: str
    options: dict[str, str]


STATS = {"layout": "card", "show": "stars,commits,pull_requests,issues,contributions"}
LANGUAGES = {"layout": "languages", "count_by": "bytes"}
PIN = {"layout": "repository", "repo": "REPO"}
STREAK = {"layout": "activity", "number_format": "long"}
WHITE = {f"{name}_color": "ffffff" for name in ("bg", "title", "text", "muted", "accent")}
DARK = {"bg_color": "151515", "title_color": "ffffff"}
GREY = {"text_color": "9f9f9f", "muted_color": "9f9f9f"}


def shown(numbers: str) -> dict[str, str]:
    return {**STATS, "show": numbers}


def stats(parameters: str, options: dict[str, str]) -> Example:
    return Example(f"/api?username=USER{parameters}", options)


def languages(parameters: str, **options: str) -> Example:
    return Example(f"/api/top-langs/?username=USER{parameters}", {**LANGUAGES, **options})


def streak(parameters: str, **options: str) -> Example:
    return Example(f"/?user=USER{parameters}", {**STREAK, **options})


# https://github.com/anuraghazra/github-readme-stats/blob/master/readme.md
README_STATS_README = [
    stats("", STATS),
    stats("&hide=contribs,prs", shown("stars,commits,issues")),
    stats("&hide=contribs,issues", shown("stars,commits,pull_requests")),
    # Of the first versions.
    stats('&hide=["contribs","prs"]', shown("stars,commits,issues")),
    stats(
        "&show=reviews,discussions_started,discussions_answered,prs_merged,prs_merged_percentage",
        shown("stars,commits,pull_requests,reviews,issues,contributions"),
    ),
    stats("&count_private=true", STATS),
    stats("&show_icons=true", STATS),
    stats("&hide=issues&show_icons=true", shown("stars,commits,pull_requests,contributions")),
    stats("&show_icons=true&theme=radical", {**STATS, "type": "rose-pine"}),
    stats("&show_icons=true&theme=transparent", {**STATS, "type": "auto"}),
    stats("&show_icons=true&theme=dark", {**STATS, "type": "dark"}),
    stats("&amp;show_icons=true&amp;theme=dark", {**STATS, "type": "dark"}),
    stats("&show_icons=true&theme=default", STATS),
    stats("&show_icons=true&bg_color=00000000", {**STATS, "bg_color": "00000000"}),
    stats("&rank_icon=github", STATS),
    stats("&rank_icon=percentile", STATS),
    stats("&border_color=2e4058", {**STATS, "border_color": "2e4058"}),
    stats("&include_all_commits=true", STATS),
    stats(
        "&bg_color=30,e96443,904e95&title_color=fff&text_color=fff",
        {**STATS, **WHITE, "bg_color": "bc596c", "accent_color": ""},
    ),
    Example(
        "/api/?username=USER&show_icons=true"
        "&title_color=fff&icon_color=79ff97&text_color=9f9f9f&bg_color=151515",
        {**STATS, **DARK, **GREY, "accent_color": "79ff97"},
    ),
    Example("/api/?username=USER&locale=es", {**STATS, "locale": "es"}),
    Example("/api/pin/?username=USER&repo=REPO", PIN),
    Example("/api/pin?username=USER&repo=REPO&show_owner=true", PIN),
    Example(
        "/api/pin?username=USER&repo=REPO"
        "&title_color=fff&icon_color=f9f9f9&text_color=9f9f9f&bg_color=151515",
        {**PIN, **DARK, **GREY, "accent_color": "f9f9f9"},
    ),
    languages(""),
    Example("/api/top-langs?username=USER", LANGUAGES),
    languages("&hide=javascript,html", hide_langs="html,javascript"),
    languages("&hide=c%2B%2B,jupyter%20notebook", hide_langs="c++,jupyter notebook"),
    languages("&layout=compact"),
    languages("&layout=donut", shape="donut"),
    languages("&layout=donut-vertical", shape="donut"),
    languages("&layout=pie", shape="donut"),
    languages("&langs_count=8", langs_count="8"),
    languages("&layout=compact&langs_count=8&card_width=320", langs_count="8"),
    languages("&hide_progress=true"),
    languages("&stats_format=bytes"),
    languages(
        "&exclude_repo=github-readme-stats,anuraghazra.github.io",
        exclude_repos="anuraghazra.github.io,github-readme-stats",
    ),
    languages("&size_weight=0.5&count_weight=0.5"),
    languages("&size_weight=0&count_weight=1", count_by=""),
]

# https://github.com/anuraghazra/github-readme-stats/tree/master/tests
README_STATS_TESTS = [
    stats("&theme=merko", {**STATS, "type": "moss-night"}),
    stats(
        "&hide=issues,prs,contribs&show_icons=true&hide_border=true&line_height=100"
        "&title_color=fff&icon_color=fff&text_color=fff&bg_color=fff",
        {**shown("stars,commits"), **WHITE, "bg_color": "", "border": "false"},
    ),
    stats("&hide=prs&ring_color=0000ff", shown("stars,commits,issues,contributions")),
    *(stats(f"&cache_seconds={seconds}", STATS) for seconds in (200000, 43200, 0, -10000)),
    stats("&locale=asdf", STATS),
    stats("&locale=cn", {**STATS, "locale": "zh-cn"}),
    stats("&hide_rank=true&custom_title=Hello%20world", {**STATS, "title": "Hello world"}),
    stats("&card_width=1&hide_rank=true&show_icons=true", STATS),
    stats(
        "&title_color=5a0&icon_color=1b998b&text_color=9991&bg_color=252525",
        {
            **STATS,
            "title_color": "55aa00",
            "accent_color": "1b998b",
            "text_color": "99999911",
            "muted_color": "99999911",
            "bg_color": "252525",
        },
    ),
    stats(
        "&title_color=invalid%20color&text_color=invalid%20color&theme=radical",
        {**STATS, "type": "rose-pine"},
    ),
    stats(
        "&title_color=5a0&theme=radical", {**STATS, "type": "rose-pine", "title_color": "55aa00"}
    ),
    stats("&border_radius=0", {**STATS, "radius": "0"}),
    stats("&number_format=long", {**STATS, "number_format": "long"}),
    stats("&v=1700000000000", STATS),
    Example("/api/pin/?username=USER&repo=REPO&v=1700000000000", PIN),
    languages("&v=1700000000000"),
    languages("&hide=HTML,css", hide_langs="css,html"),
    languages("&card_width=190"),
    languages("&langs_count=0", langs_count="1"),
    languages("&langs_count=30", langs_count="10"),
]

ALL_COLOURS = [
    "background",
    "border",
    "stroke",
    "ring",
    "fire",
    "currStreakNum",
    "sideNums",
    "currStreakLabel",
    "sideLabels",
    "dates",
    "excludeDaysLabel",
]

# https://github.com/DenverCoder1/github-readme-streak-stats: README.md and docs/faq.md
STREAK_README = [
    streak(""),
    Example("?user=USER", STREAK),
    streak("&theme=dark", type="dark"),
    streak("&theme=default"),
    streak("&theme=highcontrast", type="contrast-dark"),
    streak(
        "&currStreakNum=2FD3EB&fire=pink&sideLabels=F00&date_format=[Y.]n.j",
        title_color="2fd3eb",
        accent_color="ffc0cb",
        muted_color="ff0000",
    ),
    streak("&background=35,d22,00f", bg_color="6e1190"),
    streak("&type=png", format="png"),
    streak("&type=json", format="json"),
    streak("&mode=weekly&starting_year=2017"),
]

# https://github.com/DenverCoder1/github-readme-streak-stats/tree/main/tests
STREAK_TESTS = [
    streak("&theme=not%20a%20theme%20name"),
    streak(
        "".join(f"&{name}=f00" for name in ALL_COLOURS),
        **dict.fromkeys(
            ("bg_color", "border_color", "title_color", "muted_color", "accent_color"), "ff0000"
        ),
    ),
    *(
        streak(f"&background={colour}", bg_color="ff0000")
        for colour in ("f00", "f00f", "ff0000", "FF0000", "ff0000ff", "red")
    ),
    *(streak(f"&background={colour}") for colour in ("g00", "f00f0", "fakecolor")),
    streak("&background=transparent", bg_color="00000000"),
    streak("&background=ff000080", bg_color="ff000080"),
    streak("&background=45,f00,e11", bg_color="f60808"),
    streak("&background=-45,f00,4e5,ddd,fff", bg_color="c8b28c"),
    streak("&border=00ff0080", border_color="00ff0080"),
    streak("&hide_border=true", border="false"),
    streak("&hide_border=false"),
    streak("&border_radius=16", radius="16"),
    streak("&disable_animations=true", animate="false"),
    streak("&date_format=[Y-]m-d"),
    streak("&locale=ja", locale="ja"),
    streak("&locale=he", locale="he"),
    streak("&card_width=600"),
    streak("&card_height=300"),
    streak("&exclude_days=Sun,Sat"),
    streak("&short_numbers=true", number_format=""),
    streak("&hide_total_contributions=true&hide_longest_streak=true"),
]

EXAMPLES = [*README_STATS_README, *README_STATS_TESTS, *STREAK_README, *STREAK_TESTS]


def url_for(example: Example, *, user: str, repo: str) -> str:
    """Return the URL of an example with names of a real user and repository."""
    return "/" + example.url.lstrip("/").replace("USER", user).replace("REPO", repo)


def preview_for(example: Example, *, user: str, repo: str) -> str:
    """Return the URL of the preview that an example stands for."""
    options = {name: value.replace("REPO", repo) for name, value in example.options.items()}
    chosen = {name: value for name, value in options.items() if value}
    return "/banners/preview?" + urlencode({"username": user, **chosen})
