"""
Alternative spellings of values and option names that other services and programs use.

An alias of a theme or a locale is parsed as its target, so that both produce the same banner. A
released alias never changes its target, because banners embedded in READMEs would change. Names of
options are not parsed as ours, but ours are suggested.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from functools import cache

# Each row: one of our themes, then the themes of github-readme-stats and github-readme-streak-stats
# that are closest to it, by background first and by the strongest colour second. Their transparent
# themes are used on light and dark pages, so they become a theme that follows the reader's system.
_THEME_ALIAS_ROWS = """
auto                 transparent
auto-gruvbox         gruvbox-duo
auto-one-dark        onedark-duo blueberry-duo
auto-tokyo-night     tokyonight-duo
default              default-repocard graywhite github-light icegray
dark                 github-dark github-dark-blue algolia holi holi-theme sandbar windows-dark sea
dimmed               github-dark-dimmed city-lights noctis-minimus
contrast-dark        highcontrast
safe-dark            vision-friendly-dark deuteranopia-friendly-theme
paper                haha-light
ink                  brown-mountain langitmalam monokai-metallian earth javascript-dark elegant
ink                  neon-blurange yellowdark python-dark halloween
tide                 shadow-blue tacao sea-dark
tide-night           blue-green gotham yeblu neon glow-worm whatsapp-dark black-ice dark-smoky
tide-night           deepblue leafy navy-gear
iris                 shadow-purple buefy
iris-night           nightowl midnight-purple outrun aura unguplusdark caribbean violet-dark
iris-night           modern-lilac modern-lilac2 violet-punch
ember                shadow-red shadow-orange flag-india swift lava-light blood ayu-light
ember-night          great-gatsby maroongold kacho-ga codestackr date-night lava-dark neon-dark
ember-night          java-dark git-dark
moss                 shadow-green vue whatsapp-light
moss-night           merko chartreuse-dark ads-juicy-fresh soft-green green-nur hacker garden
moss-night           github-green-purple android-dark
dracula              synthwave shades-of-purple material-palenight jolly ambient-gradient
nord                 vue-dark panda cobalt2 material blux
gruvbox              monokai darcula ayu-mirage slateorange apprentice calm-pink
gruvbox-light        moltack humoris javascript
tokyo-night          ocean-dark buefy-dark blue-navy
catppuccin-mocha     bear neon-palenight
catppuccin-frappe    cobalt calm
catppuccin-macchiato aura-dark blood-dark
solarized-dark       prussian submarine-flowers
rose-pine            radical omni horizon
rose-pine-dawn       rose
one-dark             one-dark-pro react blueberry discord-old-blurple
one-light            bluerizch
"""
# Language tags: https://www.rfc-editor.org/rfc/rfc5646. `cn`, `jp` and `kr` are country codes, but
# common in READMEs.
_LOCALE_ALIASES = {
    **dict.fromkeys(("zh", "zh-hans", "zh-sg", "cn"), "zh-cn"),
    **dict.fromkeys(("zh-hant", "zh-hk", "zh-mo", "tw"), "zh-tw"),
    "pt": "pt-br",
    "iw": "he",
    "jp": "ja",
    "kr": "ko",
}
_LANGUAGE_TAG = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{1,8})*", re.ASCII)
# Option names of other services that are not spelled like ours, with the name to suggest instead.
_SUGGESTED_NAMES = {
    "background": "bg_color",
    "border_radius": "radius",
    "custom_title": "title",
    "disable_animations": "animate",
    "hide_border": "border",
    "icon_color": "accent_color",
    "lang": "locale",
    "language": "locale",
    "login": "username",
    "name": "username",
    "user": "username",
}
_MAX_TAG_CHARACTERS = 64
_MIN_SIMILARITY = 0.75
_MIN_CHARACTERS, _MAX_CHARACTERS = 3, 40
_MAX_SUGGESTIONS, _MAX_COMPARED_NAMES = 10, 20


def _fold(name: str) -> str:
    return re.sub(r"[-_\s]+", "", name)


def _parse_theme_aliases() -> dict[str, str]:
    rows = map(str.split, _THEME_ALIAS_ROWS.strip().splitlines())
    return {_fold(alias): target for target, *aliases in rows for alias in aliases}


THEME_ALIASES = _parse_theme_aliases()
"""Our theme by the folded name of another service's theme: lower case, without `-` and `_`."""


@cache
def _by_folded_name(themes: tuple[str, ...]) -> dict[str, str]:
    return THEME_ALIASES | {_fold(theme): theme for theme in themes}


def theme_from_alias(name: str, themes: tuple[str, ...]) -> str:
    """Return the theme that a lower-case name or alias stands for, else the name itself."""
    is_whole = name.strip("-_") == name  # `auto-` is an incomplete name
    return _by_folded_name(themes).get(_fold(name), name) if is_whole else name


def locale_from_tag(tag: str, locales: Sequence[str]) -> str:
    """
    Return the locale that a lower-case language tag stands for, else the tag itself.

    `pt_br`, `de_de.utf-8` and `zh-hant-hk` are shortened from the right until a locale matches, which
    is the lookup of RFC 4647, section 3.4.
    """
    if len(tag) > _MAX_TAG_CHARACTERS:
        return tag
    prefix = re.split("[.@]", tag.replace("_", "-"), maxsplit=1)[0]
    if not _LANGUAGE_TAG.fullmatch(prefix):
        return tag
    while prefix:
        if prefix in locales or prefix in _LOCALE_ALIASES:
            return _LOCALE_ALIASES.get(prefix, prefix)
        prefix = prefix.rpartition("-")[0]
    return tag


def suggest_option_names(names: Iterable[str], known_names: Sequence[str]) -> dict[str, str]:
    """Map unknown names to the closest of `known_names`; names without a close one are left out."""
    unknown = [
        name
        for name in dict.fromkeys(names)
        if name not in known_names and _MIN_CHARACTERS <= len(name) <= _MAX_CHARACTERS
    ]
    suggestions = {}
    # Names come from the request, and each comparison is slow: bound their number.
    for name in unknown[:_MAX_COMPARED_NAMES]:
        matches = difflib.get_close_matches(name, known_names, n=1, cutoff=_MIN_SIMILARITY)
        if name in _SUGGESTED_NAMES or matches:
            suggestions[name] = _SUGGESTED_NAMES.get(name) or matches[0]
    return dict(list(suggestions.items())[:_MAX_SUGGESTIONS])
