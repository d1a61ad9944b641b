"""Strength checks for the keys that sign calls between services."""

import re
from collections.abc import Mapping
from typing import Any

from github_banners.settings.addresses import is_reachable

MIN_CHARACTERS = 8
RECOMMENDED_CHARACTERS = 16
_MIN_DISTINCT = 4
_KEYS = ("SERVICES_SECRET_KEY", "SERVICES_SECRET_KEY_PREVIOUS")
_ADVICE = "make one with `openssl rand -hex 32` or `make secrets`"
_SEQUENCES = ("01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "98765432109876543210")

# Secrets in examples (such as `your_secret_key`) and those that attackers try first consist of
# these words and a few digits.
_WORDS = """
a abc abc123 admin administrator an and any api app asdf at azerty banner banners bar baz be bit bits cat change changed
character characters chars database default demo dev development dummy enter example fake fixme foo for
git github here hmac in insecure insert is it iloveyou jwt key keyboard keys least length letmein local long
me min minimum must my not of on or our p4ssword pass passphrase passw0rd password passwords passwd
placeholder please postgres private prod production put pwd qwerty qwertyuiop qwertz random
replace replaced root safe salt same sample secret secrets secure service services set shared should sign
signing some something string strong super test testing that the this to todo token top trustno1 unsafe
use user value very welcome with word world xxx you your zxcv
"""
_WORD = "|".join(sorted(_WORDS.split(), key=len, reverse=True))
_WELL_KNOWN = re.compile(rf"\d{{0,4}}(?:(?:{_WORD})+\d{{0,4}})+")
_MAX_WELL_KNOWN_CHARACTERS = 64


def find_key_problems(values: Mapping[str, Any], *, host: str) -> list[str]:
    """
    Return problems if other machines can reach HOST and its key is missing or weak.

    `values` are settings by field.
    """
    if not is_reachable(host):
        return []
    reason = f"and other machines can reach {host}: {_ADVICE}"
    problems = []
    if values.get("services_secret_key") is None:
        problems.append(f"SERVICES_SECRET_KEY is missing, {reason}")
    for name in _KEYS:
        key = values.get(name.lower())
        if key is not None and (weakness := find_weakness(key.reveal())):
            problems.append(f"{name} {weakness}, {reason}")
    return problems


def find_short_keys(values: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each key that is shorter than recommended; `values` as above."""
    return [
        f"{name} has fewer than {RECOMMENDED_CHARACTERS} characters: {_ADVICE}"
        for name in _KEYS
        if (key := values.get(name.lower())) and len(key.reveal()) < RECOMMENDED_CHARACTERS
    ]


def find_weakness(text: str) -> str | None:
    """Return what makes a secret easy to guess, None if nothing does."""
    unit = _repeated_unit(text)
    if _is_well_known(re.sub(r"[\W_]", "", unit.lower())):
        return "is a well-known secret"
    if len(unit) < MIN_CHARACTERS:
        return f"has fewer than {MIN_CHARACTERS} characters"
    if len(set(text)) < _MIN_DISTINCT:
        return f"has fewer than {_MIN_DISTINCT} different characters"
    return None


def _is_well_known(letters: str) -> bool:
    if len(letters) > _MAX_WELL_KNOWN_CHARACTERS:
        return False
    is_sequence = len(letters) > 1 and any(letters in sequence for sequence in _SEQUENCES)
    return is_sequence or _WELL_KNOWN.fullmatch(letters) is not None


def _repeated_unit(text: str) -> str:
    """Return the shortest text that gives this text when repeated."""
    return text[: (text + text).find(text, 1)] if text else text
