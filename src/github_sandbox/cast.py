"""
The invented people worth meeting: every kind of portfolio that a banner must survive.

A role says what is special about somebody; the world makes up the rest from its seed.
"""

from collections.abc import Sequence

import msgspec


class Role(msgspec.Struct, frozen=True):
    """
    One invented account.

    `fame` scales its stars, `fork_share` is the part of its repositories that are forks; without
    `languages` it likes a few of the usual ones.
    """

    login: str
    line: str
    name: str | None
    repositories: int
    fame: float = 3.0
    fork_share: float = 0.25
    is_organization: bool = False
    languages: Sequence[str] = ()


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

CAST = (
    Role("nell-newcomer", "a newcomer with nothing yet", "Nell Underbough", 0),
    Role("sam-studies", "a student: a few repositories, hardly a star", "Sam Yarrow", 6, fame=0.2),
    Role("mia-maintains", "a maintainer of 30 repositories", "Mia Silverthorne", 30, fame=60.0),
    Role("pat-prolific", "1,000 repositories: ten pages", "Pat Kestrelman", 1_000, fame=8.0),
    Role("hana-hoards", "2,345 repositories", "Hana Inglenook", 2_345, fork_share=0.8),
    Role("umbra-labs", "an organisation", "Umbra Labs", 64, fame=90.0, is_organization=True),
    Role("finn-forks", "only forks", "Finn Larkspur", 18, fork_share=1.0),
    Role(
        "maximilian-bartholomew-featherstonhaugh",
        "a login as long as GitHub allows: 39 characters",
        "Maximilian Bartholomew Featherstonhaugh von und zu Glimmerstone-Winterbourne",
        12,
    ),
    Role("CamelCleo", "a login with capitals, whoever types it", "Cleo Farrowdale", 21),
    Role("nameless-ned", "nobody's display name", None, 9),
    Role("yuki-hoshizora", "a display name in Japanese", "星空 雪", 17),
    Role("layla-zahran", "a display name in Arabic", "ليلى زهران", 14, languages=("PHP", "Dart")),
    Role("noam-shaked", "a display name in Hebrew", "נועם שקד", 11),
    Role("somchai-fa", "a display name in Thai", "สมชาย ฟ้าใส", 8),
    Role("emi-emoji", "emoji with joiners", "👩🏽‍💻 Emi 👨‍👩‍👧‍👦 🏳️‍🌈 é̂", 13),
    Role(
        "mallory-markup",
        "hostile text in the display name and in the names of languages",
        _HOSTILE_NAME,
        24,
        fork_share=0.0,
        languages=_HOSTILE_LANGUAGES,
    ),
    Role(
        "bea-bidi", "a display name that turns the line around", "\u202eeurt ton si siht\u202c", 5
    ),
    Role(
        "polly-glot", "more languages than any banner shows", "Polly Quillfeather", 150, fame=20.0
    ),
)

SAMPLE_USERS = [
    *((role.login, role.line) for role in CAST),
    ("dev-1", "dev-<number>: exactly 30 repositories each, for load tests"),
    ("big-150", "big-<n>: exactly n repositories, up to 5,000"),
]
"""Login and one line about each invented user that is worth showing."""
