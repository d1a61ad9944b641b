"""Forged heads, each invalid in one place, with the reason of its refusal; and random garbage."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import strategies as st

from github_banners.messaging.signing import RefusalReason
from github_banners.settings import Secret
from tests.unit.messaging.handwritten_signatures import (
    BODY,
    COMPONENTS,
    FOREIGN,
    SECONDS,
    Call,
    content_digest,
    parameters,
    signed,
)

INPUT = 'sig1=("@method" "@path" "@query" "content-digest")'


def with_input(value: str) -> Call:
    return signed().with_header("signature-input", value)


def with_params(params: str) -> Call:
    return with_input(INPUT + params)


def append_to_header(call: Call, name: str, suffix: bytes) -> Call:
    return call.with_header(name, call.header(name) + suffix)


def with_other_label() -> Call:
    call = signed()
    return call.with_header("signature", call.header("signature").replace(b"sig1", b"sig2"))


def with_two_labels() -> Call:
    first, second = signed(), signed(label="sig2")
    for name in ("signature", "signature-input"):
        first = append_to_header(first, name, b", " + second.header(name))
    return first


FORGED_HEADS: list[tuple[str, Callable[[], Call], RefusalReason]] = [
    ("nothing", Call, RefusalReason.NO_SIGNATURE),
    (
        "the old scheme",
        lambda: Call(
            headers=(
                (b"x-service", b"api"),
                (b"x-timestamp", str(SECONDS).encode()),
                (b"x-signature", b"5d41402abc4b2a76b9719d911017c592" * 2),
            )
        ),
        RefusalReason.NO_SIGNATURE,
    ),
    ("no signature", lambda: signed().with_header("signature", None), RefusalReason.NO_SIGNATURE),
    ("no input", lambda: signed().with_header("signature-input", None), RefusalReason.NO_SIGNATURE),
    (
        "signature twice",
        lambda: signed().with_another("signature"),
        RefusalReason.SEVERAL_SIGNATURES,
    ),
    (
        "input twice",
        lambda: signed().with_another("signature-input"),
        RefusalReason.SEVERAL_SIGNATURES,
    ),
    (
        "another signature in capitals",
        lambda: signed().with_another("Signature", "sig2=:AAAA:"),
        RefusalReason.SEVERAL_SIGNATURES,
    ),
    ("two labels in one header", with_two_labels, RefusalReason.SEVERAL_SIGNATURES),
    (
        "a label without its input",
        lambda: append_to_header(signed(), "signature", b", sig2=:AAAA:"),
        RefusalReason.SEVERAL_SIGNATURES,
    ),
    (
        "an input without its label",
        lambda: append_to_header(signed(), "signature-input", b', sig2=("@method")'),
        RefusalReason.SEVERAL_SIGNATURES,
    ),
    ("another label", lambda: signed(label="sig2"), RefusalReason.UNKNOWN_LABEL),
    ("labels that differ", with_other_label, RefusalReason.UNREADABLE),
    ("no digest", lambda: signed().with_header("content-digest", None), RefusalReason.WRONG_DIGEST),
    ("digest twice", lambda: signed().with_another("content-digest"), RefusalReason.WRONG_DIGEST),
    ("empty digest", lambda: signed(digest=""), RefusalReason.WRONG_DIGEST),
    ("malformed digest", lambda: signed(digest="sha-256=:Zm9v"), RefusalReason.WRONG_DIGEST),
    ("short digest", lambda: signed(digest="sha-256=:Zm9v:"), RefusalReason.WRONG_DIGEST),
    ("digest as text", lambda: signed(digest='sha-256="Zm9v"'), RefusalReason.WRONG_DIGEST),
    (
        "weaker digest",
        lambda: signed(digest=content_digest(BODY, "md5")),
        RefusalReason.WRONG_DIGEST,
    ),
    ("unknown digest", lambda: signed(digest="sha-257=:Zm9v:"), RefusalReason.WRONG_DIGEST),
    (
        "other digest",
        lambda: signed(digest=content_digest(BODY, "sha512")),
        RefusalReason.WRONG_DIGEST,
    ),
    (
        "weaker digest besides",
        lambda: signed(digest=f"{content_digest(BODY)}, {content_digest(BODY, 'md5')}"),
        RefusalReason.WRONG_DIGEST,
    ),
    ("foreign key", lambda: signed(key=FOREIGN), RefusalReason.WRONG_KEY),
    ("empty key", lambda: signed(key=Secret("")), RefusalReason.WRONG_KEY),
    ("changed method", lambda: replace(signed(), method="PUT"), RefusalReason.WRONG_KEY),
    ("changed path", lambda: replace(signed(), path=b"/banners2"), RefusalReason.WRONG_KEY),
    (
        "path with an extra slash",
        lambda: replace(signed(), path=b"/banners/"),
        RefusalReason.WRONG_KEY,
    ),
    (
        "dots for encoded dots",
        lambda: replace(signed(Call(path=b"/banners/%2e%2e")), path=b"/banners/.."),
        RefusalReason.WRONG_KEY,
    ),
    (
        "encoded in capitals",
        lambda: replace(signed(Call(path=b"/a%2fb")), path=b"/a%2Fb"),
        RefusalReason.WRONG_KEY,
    ),
    (
        "host in the path",
        lambda: replace(signed(), path=b"@elsewhere/banners"),
        RefusalReason.WRONG_KEY,
    ),
    (
        "fragment in the path",
        lambda: replace(signed(), path=b"/banners#x"),
        RefusalReason.WRONG_KEY,
    ),
    (
        "query in the path",
        lambda: replace(signed(), path=b"/banners?v=1", query=b""),
        RefusalReason.WRONG_KEY,
    ),
    ("changed query", lambda: replace(signed(), query=b"v=2"), RefusalReason.WRONG_KEY),
    ("dropped query", lambda: replace(signed(), query=b""), RefusalReason.WRONG_KEY),
    (
        "added query",
        lambda: replace(signed(Call(query=b"")), query=b"v=1"),
        RefusalReason.WRONG_KEY,
    ),
    (
        "changed digest",
        lambda: signed().with_header("content-digest", content_digest(b"other")),
        RefusalReason.WRONG_KEY,
    ),
    ("changed nonce", lambda: with_params(parameters(nonce="x")), RefusalReason.WRONG_KEY),
    ("changed time", lambda: with_params(parameters(created=SECONDS + 1)), RefusalReason.WRONG_KEY),
    (
        "signature cut short",
        lambda: signed().with_header("signature", "sig1=:Zm9v:"),
        RefusalReason.WRONG_KEY,
    ),
    (
        "empty signature",
        lambda: signed().with_header("signature", "sig1=::"),
        RefusalReason.WRONG_KEY,
    ),
    (
        "too old",
        lambda: signed(params=parameters(created=SECONDS - 61)),
        RefusalReason.TOO_OLD,
    ),
    ("too new", lambda: signed(params=parameters(created=SECONDS + 61)), RefusalReason.TOO_NEW),
    ("from 1970", lambda: signed(params=parameters(created=0)), RefusalReason.TOO_OLD),
    ("before 1970", lambda: signed(params=parameters(created=-SECONDS)), RefusalReason.TOO_OLD),
    ("in aeons", lambda: signed(params=parameters(created=10**15 - 1)), RefusalReason.TOO_NEW),
    (
        "time beyond numbers",
        lambda: signed(params=parameters(created=10**15)),
        RefusalReason.UNREADABLE,
    ),
    (
        "expired",
        lambda: signed(params=parameters(extra=f";expires={SECONDS - 1}")),
        RefusalReason.TOO_OLD,
    ),
    (
        "expires at no time",
        lambda: signed(params=parameters(extra=';expires="never"')),
        RefusalReason.UNREADABLE,
    ),
    ("no time", lambda: signed(params=parameters(created=None)), RefusalReason.NO_TIME),
    (
        "time as text",
        lambda: signed(params=parameters(created=f'"{SECONDS}"')),
        RefusalReason.UNREADABLE,
    ),
    (
        "time as a decimal",
        lambda: signed(params=parameters(created=f"{SECONDS}.5")),
        RefusalReason.UNREADABLE,
    ),
    (
        "time as a date",
        lambda: signed(params=parameters(created=f"@{SECONDS}")),
        RefusalReason.UNREADABLE,
    ),
    ("time as a truth", lambda: signed(params=parameters(created="?1")), RefusalReason.UNREADABLE),
    (
        "unknown caller",
        lambda: signed(params=parameters(keyid="nobody")),
        RefusalReason.UNKNOWN_CALLER,
    ),
    (
        "caller in capitals",
        lambda: signed(params=parameters(keyid="API")),
        RefusalReason.UNKNOWN_CALLER,
    ),
    ("long caller", lambda: signed(params=parameters(keyid="x" * 500)), RefusalReason.UNREADABLE),
    ("no caller", lambda: signed(params=parameters(keyid=None)), RefusalReason.UNREADABLE),
    ("no nonce", lambda: signed(params=parameters(nonce=None)), RefusalReason.NO_NONCE),
    (
        "empty nonce",
        lambda: signed(params=parameters(nonce=None, extra=';nonce=""')),
        RefusalReason.NO_NONCE,
    ),
    ("long nonce", lambda: signed(params=parameters(nonce="x" * 65)), RefusalReason.NO_NONCE),
    (
        "nonce as a number",
        lambda: signed(params=parameters(nonce=None, extra=";nonce=1")),
        RefusalReason.UNREADABLE,
    ),
    (
        "method not signed",
        lambda: signed(components=COMPONENTS[1:]),
        RefusalReason.COMPONENTS_MISSING,
    ),
    (
        "digest not signed",
        lambda: signed(components=COMPONENTS[:-1]),
        RefusalReason.COMPONENTS_MISSING,
    ),
    (
        "query not signed",
        lambda: signed(components=["@method", "@path", "content-digest"]),
        RefusalReason.COMPONENTS_MISSING,
    ),
    (
        "path not signed",
        lambda: signed(components=["@method", "@query", "content-digest"]),
        RefusalReason.COMPONENTS_MISSING,
    ),
    ("nothing signed", lambda: signed(components=[]), RefusalReason.COMPONENTS_MISSING),
    (
        "in another order",
        lambda: signed(components=COMPONENTS[::-1]),
        RefusalReason.OTHER_COMPONENTS,
    ),
    (
        "more signed",
        lambda: signed(components=[*COMPONENTS, "@scheme"], values={"@scheme": "http"}),
        RefusalReason.OTHER_COMPONENTS,
    ),
    (
        "signed twice",
        lambda: signed(components=[*COMPONENTS, "@method"]),
        RefusalReason.OTHER_COMPONENTS,
    ),
    (
        "digest of a response signed",
        lambda: with_input('sig1=("@method" "@path" "@query" "content-digest";req)'),
        RefusalReason.COMPONENTS_MISSING,
    ),
    (
        "digest by its key",
        lambda: with_input('sig1=("@method" "@path" "@query" "content-digest";key="sha-256")'),
        RefusalReason.COMPONENTS_MISSING,
    ),
    (
        "components as tokens",
        lambda: with_input("sig1=(method path query content-digest)"),
        RefusalReason.COMPONENTS_MISSING,
    ),
    (
        "other algorithm",
        lambda: signed(params=parameters(extra=';alg="hmac-sha512"')),
        RefusalReason.UNKNOWN_ALGORITHM,
    ),
    (
        "no algorithm at all",
        lambda: signed(params=parameters(extra=';alg="none"')),
        RefusalReason.UNKNOWN_ALGORITHM,
    ),
    (
        "algorithm as a token",
        lambda: signed(params=parameters(extra=";alg=none")),
        RefusalReason.UNREADABLE,
    ),
    (
        "a tag",
        lambda: signed(params=parameters(extra=';tag="web-bot-auth"')),
        RefusalReason.UNREADABLE,
    ),
    (
        "unknown parameter",
        lambda: signed(params=parameters(extra=";x=1")),
        RefusalReason.UNREADABLE,
    ),
    (
        "empty headers",
        lambda: with_input("").with_header("signature", ""),
        RefusalReason.UNREADABLE,
    ),
    ("input as a text", lambda: with_input('sig1="x"'), RefusalReason.UNREADABLE),
    ("input as a list", lambda: with_input('("@method" "@path")'), RefusalReason.UNREADABLE),
    ("input that never ends", lambda: with_input(INPUT[:-1]), RefusalReason.UNREADABLE),
    ("lists in lists", lambda: with_input("sig1=" + "(" * 400), RefusalReason.UNREADABLE),
    ("huge input", lambda: with_input(INPUT + ";x" * 10_000), RefusalReason.UNREADABLE),
    ("input that is no ASCII", lambda: with_input(INPUT + ';nonce="ü"'), RefusalReason.UNREADABLE),
    (
        "signature as a text",
        lambda: signed().with_header("signature", 'sig1="x"'),
        RefusalReason.UNREADABLE,
    ),
    (
        "signature as a list",
        lambda: signed().with_header("signature", "sig1=(:AAAA:)"),
        RefusalReason.UNREADABLE,
    ),
    (
        "signature by no base64",
        lambda: signed().with_header("signature", "sig1=:?:"),
        RefusalReason.UNREADABLE,
    ),
    (
        "huge signature",
        lambda: signed().with_header("signature", "x" * 100_000),
        RefusalReason.UNREADABLE,
    ),
    (
        "signature no ASCII",
        lambda: signed().with_header("signature", b"\xff\xfe"),
        RefusalReason.UNREADABLE,
    ),
    (
        "digest no ASCII",
        lambda: signed().with_header("content-digest", b"\xff"),
        RefusalReason.UNREADABLE,
    ),
    ("path no ASCII", lambda: replace(signed(), path=b"/\xc3\xbc"), RefusalReason.UNREADABLE),
    ("query no ASCII", lambda: replace(signed(), query=b"\xff"), RefusalReason.UNREADABLE),
    ("method no ASCII", lambda: replace(signed(), method="PÖST"), RefusalReason.UNREADABLE),
    ("method in small letters", lambda: replace(signed(), method="post"), RefusalReason.UNREADABLE),
    (
        "line within the path",
        lambda: replace(signed(), path=b'/banners\n"@query": ?v=1'),
        RefusalReason.UNREADABLE,
    ),
]

PIECES = st.sampled_from(
    [
        *('sig1=("@method" "@path" "@query" "content-digest")', "sig1=", "sig2=", ":AAAA:", '"'),
        *(";created=", str(SECONDS), ';keyid="api"', ';nonce="x"', ';alg="hmac-sha256"', ";tag"),
        *(
            "(",
            ")",
            ";",
            ",",
            "=",
            ":",
            "@",
            "?1",
            "?",
            '%"',
            "\\",
            "1.5",
            "-",
            "\t",
            "\r\n ",
            "\n",
        ),
        *('"@query-param";name="v"', '"@method";req', '"content-digest";bs', '"content-digest";sf'),
        *('"@signature-params"', '"@status"', '"@request-target"', '"x"', "sha-256=", "*", "é"),
    ]
)
GARBAGE = st.one_of(
    st.binary(max_size=600),
    st.lists(PIECES, max_size=14).map(lambda pieces: "".join(pieces).encode()),
    st.lists(PIECES, max_size=8).map(
        lambda pieces: (INPUT + ';keyid="api"' + "".join(pieces)).encode()
    ),
)
NAMES = st.sampled_from(["signature", "signature-input", "content-digest"])
