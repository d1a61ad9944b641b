"""
Data that generated accounts are built from: word lists, and the sample accounts.

The sample accounts cover the cases that a client has to handle: no repositories, thousands of them,
long and missing names, right-to-left scripts, hostile text.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

_ADJECTIVES = (
    "amber", "ancient", "bold", "brisk", "calm", "clever", "cosmic", "crisp", "daily", "dapper",
    "deep", "eager", "early", "fast", "fuzzy", "gentle", "golden", "grand", "happy", "hidden",
    "humble", "idle", "icy", "jolly", "keen", "late", "light", "little", "lucid", "mellow", "mini",
    "nimble", "noisy", "open", "plain", "quick", "quiet", "rusty", "simple", "tiny", "warm",
)  # fmt: skip
_NOUNS = (
    "atlas", "badger", "beacon", "bridge", "bucket", "cache", "canvas", "compass", "cron", "dotfiles",
    "engine", "falcon", "feed", "fjord", "forms", "gallery", "garden", "gateway", "harbor", "hooks",
    "index", "journal", "kernel", "kit", "ledger", "lens", "map", "matrix", "notes", "orchard",
    "parser", "pipeline", "planner", "proxy", "queue", "router", "scanner", "server", "shell",
    "sketch", "tables", "theme", "widget",
)  # fmt: skip
REPOSITORY_NAMES = tuple(f"{adjective}-{noun}" for noun in _NOUNS for adjective in _ADJECTIVES)
"""41 x 43 names, so a step that neither number divides visits each name once."""

# Spelled as github-linguist spells them, most used first.
# https://github.com/github-linguist/linguist/blob/main/lib/linguist/languages.yml
LANGUAGES = (
    "JavaScript", "Python", "TypeScript", "Java", "Go", "C++", "C#", "Ruby", "PHP", "C", "Rust",
    "Shell", "Kotlin", "Swift", "HTML", "CSS", "Jupyter Notebook", "Dart", "Scala", "Elixir", "Lua",
    "Haskell", "Perl", "R", "Julia", "Clojure", "Objective-C", "Vim Script", "Emacs Lisp", "TeX",
    "Dockerfile", "Nix", "Zig", "OCaml", "F#", "Common Lisp", "Ren'Py", "Visual Basic .NET",
)  # fmt: skip

GIVEN_NAMES = (
    "Aiko", "Bram", "Chidi", "Dara", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kavya",
    "Lena", "Mateo", "Nadia", "Oskar", "Priya", "Quentin", "Rosa", "Stellan", "Tove", "Umar",
    "Vera", "Wanda", "Xenia", "Yusuf", "Zofia",
)  # fmt: skip
FAMILY_NAMES = (
    "Abernethy", "Bellweather", "Castellane", "Dunmore", "Eastwick", "Farrowdale", "Glimmerstone",
    "Hollowell", "Inglenook", "Juniper", "Kestrelman", "Larkspur", "Merriweather", "Nightingale",
    "Oakenfold", "Pemberley", "Quillfeather", "Ravenscroft", "Silverthorne", "Thistlewood",
    "Underbough", "Vandermoor", "Winterbourne", "Yarrow", "Zephyrine",
)  # fmt: skip


class Persona(msgspec.Struct, frozen=True):
    """
    The fixed properties of a generated account; the generator derives the rest from its seed.

    `star_scale` multiplies the star counts, `fork_share` is the fraction of repositories that are
    forks. Without `languages` a few common ones are drawn; likewise `descriptions` and `created_at`.
    `activity`, `is_steady` and `is_private` are those of the account.
    """

    login: str
    description: str
    name: str | None
    repository_count: int
    star_scale: float = 3.0
    fork_share: float = 0.25
    is_organization: bool = False
    languages: Sequence[str] = ()
    descriptions: Sequence[str] = ()
    created_at: datetime | None = None
    activity: float = 1.0
    is_steady: bool = False
    is_private: bool = False


_HOSTILE_NAME = "<script>alert(\"1\")</script> & 'quotes' ]]> \x01\x08\x1f \u202eabc\u2066 \ufffe"
_HOSTILE_LANGUAGES = (
    "<script>alert('x')</script>",
    'C"+\'"/>',
    "]]><!--",
    "R\x01\x0b",
    "\u202egnoL",
    "&amp;&#0;",
    "L" * 200,
)
_HOSTILE_DESCRIPTIONS = (
    "<b>bold</b> & <script>alert('x')</script> ]]>",
    "\u202eeurt ton si siht\u202c \x01\x0b\ufffe",
    "W" * 350,
    " ",
    "one\ntwo\r\nthree\tfour",
)

EXAMPLE_LOGIN = "mia-maintains"
"""The account to show first to a user of the sandbox."""

SAMPLES = (
    Persona("nell-newcomer", "no repositories", "Nell Underbough", 0, activity=0),
    Persona("sam-studies", "six repositories, hardly any stars", "Sam Yarrow", 6, star_scale=0.2),
    Persona(
        EXAMPLE_LOGIN,
        "30 repositories with many stars",
        "Mia Silverthorne",
        30,
        star_scale=60.0,
        is_steady=True,
    ),
    Persona(
        "pat-prolific", "1,000 repositories: ten API pages", "Pat Kestrelman", 1_000, star_scale=8.0
    ),
    Persona("hana-hoards", "2,345 repositories", "Hana Inglenook", 2_345, fork_share=0.8),
    Persona(
        "umbra-labs", "an organization", "Umbra Labs", 64, star_scale=90.0, is_organization=True
    ),
    Persona("finn-forks", "only forks", "Finn Larkspur", 18, fork_share=1.0),
    Persona(
        "maximilian-bartholomew-featherstonhaugh",
        "the longest login that GitHub allows: 39 characters",
        "Maximilian Bartholomew Featherstonhaugh von und zu Glimmerstone-Winterbourne",
        12,
    ),
    Persona("CamelCleo", "a login with capital letters", "Cleo Farrowdale", 21),
    Persona("nameless-ned", "no display name", None, 9),
    Persona("yuki-hoshizora", "a display name in Japanese", "星空 雪", 17),
    Persona(
        "layla-zahran", "a display name in Arabic", "ليلى زهران", 14, languages=("PHP", "Dart")
    ),
    Persona("noam-shaked", "a display name in Hebrew", "נועם שקד", 11),
    Persona("somchai-fa", "a display name in Thai", "สมชาย ฟ้าใส", 8),
    Persona("emi-emoji", "a display name with emoji and joiners", "👩🏽‍💻 Emi 👨‍👩‍👧‍👦 🏳️‍🌈 é̂", 13),
    Persona(
        "mallory-markup",
        "markup and control characters in the names, languages and descriptions",
        _HOSTILE_NAME,
        24,
        fork_share=0.0,
        languages=_HOSTILE_LANGUAGES,
        descriptions=_HOSTILE_DESCRIPTIONS,
    ),
    Persona(
        "bea-bidi",
        "a display name with bidirectional control characters",
        "\u202eeurt ton si siht\u202c",
        5,
    ),
    Persona(
        "polly-glot",
        "more languages than a banner shows",
        "Polly Quillfeather",
        150,
        star_scale=20.0,
    ),
    Persona(
        "vera-veteran",
        "contributions since 2008",
        "Vera Oakenfold",
        40,
        star_scale=12.0,
        created_at=datetime(2008, 2, 20, 9, 30, tzinfo=UTC),
        activity=1.5,
    ),
    Persona(
        "priya-private",
        "a private profile: no contributions or followers are shown",
        "Priya Ravenscroft",
        7,
        is_private=True,
    ),
)

SAMPLE_USERS = [
    *((persona.login, persona.description) for persona in SAMPLES),
    ("dev-1", "dev-<n>: 30 repositories each, for load tests"),
    ("big-150", "big-<n>: exactly n repositories, up to 5,000"),
]
"""Login and one-line description of the accounts to show to a user of the sandbox."""
