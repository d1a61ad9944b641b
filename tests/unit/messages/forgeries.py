"""Forged heads, each wrong in one place, with the reason of its refusal; and garbage."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import strategies as st

from github_banners.messages.signing import Reason
from github_banners.settings import Secret
from tests.unit.messages.by_hand import (
    BODY,
    COMPONENTS,
    FOREIGN,
    SECONDS,
    Call,
    digest_of,
    parameters,
    signed,
)

INPUT = 'sig1=("@method" "@path" "@query" "content-digest")'


def with_input(value: str) -> Call:
    return signed().with_header("signature-input", value)


def with_params(params: str) -> Call:
    return with_input(INPUT + params)


def with_more(call: Call, name: str, more: bytes) -> Call:
    return call.with_header(name, call.header(name) + more)


def relabelled() -> Call:
    call = signed()
    return call.with_header("signature", call.header("signature").replace(b"sig1", b"sig2"))


def twice_labelled() -> Call:
    first, second = signed(), signed(label="sig2")
    for name in ("signature", "signature-input"):
        first = with_more(first, name, b", " + second.header(name))
    return first


FORGED_HEADS: list[tuple[str, Callable[[], Call], Reason]] = [
    ("nothing", Call, Reason.NO_SIGNATURE),
    (
        "the old scheme",
        lambda: Call(
            headers=(
                (b"x-service", b"api"),
                (b"x-timestamp", str(SECONDS).encode()),
                (b"x-signature", b"5d41402abc4b2a76b9719d911017c592" * 2),
            )
        ),
        Reason.NO_SIGNATURE,
    ),
    ("no signature", lambda: signed().with_header("signature", None), Reason.NO_SIGNATURE),
    ("no input", lambda: signed().with_header("signature-input", None), Reason.NO_SIGNATURE),
    ("signature twice", lambda: signed().with_another("signature"), Reason.SEVERAL_SIGNATURES),
    ("input twice", lambda: signed().with_another("signature-input"), Reason.SEVERAL_SIGNATURES),
    (
        "another signature in capitals",
        lambda: signed().with_another("Signature", "sig2=:AAAA:"),
        Reason.SEVERAL_SIGNATURES,
    ),
    ("two labels in one header", twice_labelled, Reason.SEVERAL_SIGNATURES),
    (
        "a label without its input",
        lambda: with_more(signed(), "signature", b", sig2=:AAAA:"),
        Reason.SEVERAL_SIGNATURES,
    ),
    (
        "an input without its label",
        lambda: with_more(signed(), "signature-input", b', sig2=("@method")'),
        Reason.SEVERAL_SIGNATURES,
    ),
    ("another label", lambda: signed(label="sig2"), Reason.UNKNOWN_LABEL),
    ("labels that differ", relabelled, Reason.UNREADABLE),
    ("no digest", lambda: signed().with_header("content-digest", None), Reason.WRONG_DIGEST),
    ("digest twice", lambda: signed().with_another("content-digest"), Reason.WRONG_DIGEST),
    ("empty digest", lambda: signed(digest=""), Reason.WRONG_DIGEST),
    ("malformed digest", lambda: signed(digest="sha-256=:Zm9v"), Reason.WRONG_DIGEST),
    ("short digest", lambda: signed(digest="sha-256=:Zm9v:"), Reason.WRONG_DIGEST),
    ("digest as text", lambda: signed(digest='sha-256="Zm9v"'), Reason.WRONG_DIGEST),
    ("weaker digest", lambda: signed(digest=digest_of(BODY, "md5")), Reason.WRONG_DIGEST),
    ("unknown digest", lambda: signed(digest="sha-257=:Zm9v:"), Reason.WRONG_DIGEST),
    ("other digest", lambda: signed(digest=digest_of(BODY, "sha512")), Reason.WRONG_DIGEST),
    (
        "weaker digest besides",
        lambda: signed(digest=f"{digest_of(BODY)}, {digest_of(BODY, 'md5')}"),
        Reason.WRONG_DIGEST,
    ),
    ("foreign key", lambda: signed(key=FOREIGN), Reason.WRONG_KEY),
    ("empty key", lambda: signed(key=Secret("")), Reason.WRONG_KEY),
    ("changed method", lambda: replace(signed(), method="PUT"), Reason.WRONG_KEY),
    ("changed path", lambda: replace(signed(), path=b"/banners2"), Reason.WRONG_KEY),
    ("path with a slash more", lambda: replace(signed(), path=b"/banners/"), Reason.WRONG_KEY),
    (
        "dots for encoded dots",
        lambda: replace(signed(Call(path=b"/banners/%2e%2e")), path=b"/banners/.."),
        Reason.WRONG_KEY,
    ),
    (
        "encoded in capitals",
        lambda: replace(signed(Call(path=b"/a%2fb")), path=b"/a%2Fb"),
        Reason.WRONG_KEY,
    ),
    (
        "host in the path",
        lambda: replace(signed(), path=b"@elsewhere/banners"),
        Reason.WRONG_KEY,
    ),
    ("fragment in the path", lambda: replace(signed(), path=b"/banners#x"), Reason.WRONG_KEY),
    (
        "query in the path",
        lambda: replace(signed(), path=b"/banners?v=1", query=b""),
        Reason.WRONG_KEY,
    ),
    ("changed query", lambda: replace(signed(), query=b"v=2"), Reason.WRONG_KEY),
    ("dropped query", lambda: replace(signed(), query=b""), Reason.WRONG_KEY),
    ("added query", lambda: replace(signed(Call(query=b"")), query=b"v=1"), Reason.WRONG_KEY),
    (
        "changed digest",
        lambda: signed().with_header("content-digest", digest_of(b"other")),
        Reason.WRONG_KEY,
    ),
    ("changed nonce", lambda: with_params(parameters(nonce="x")), Reason.WRONG_KEY),
    ("changed time", lambda: with_params(parameters(created=SECONDS + 1)), Reason.WRONG_KEY),
    (
        "signature cut short",
        lambda: signed().with_header("signature", "sig1=:Zm9v:"),
        Reason.WRONG_KEY,
    ),
    ("empty signature", lambda: signed().with_header("signature", "sig1=::"), Reason.WRONG_KEY),
    (
        "too old",
        lambda: signed(params=parameters(created=SECONDS - 61)),
        Reason.TOO_OLD,
    ),
    ("too new", lambda: signed(params=parameters(created=SECONDS + 61)), Reason.TOO_NEW),
    ("from 1970", lambda: signed(params=parameters(created=0)), Reason.TOO_OLD),
    ("before 1970", lambda: signed(params=parameters(created=-SECONDS)), Reason.TOO_OLD),
    ("in aeons", lambda: signed(params=parameters(created=10**15 - 1)), Reason.TOO_NEW),
    ("time beyond numbers", lambda: signed(params=parameters(created=10**15)), Reason.UNREADABLE),
    ("expired", lambda: signed(params=parameters(more=f";expires={SECONDS - 1}")), Reason.TOO_OLD),
    (
        "expires at no time",
        lambda: signed(params=parameters(more=';expires="never"')),
        Reason.UNREADABLE,
    ),
    ("no time", lambda: signed(params=parameters(created=None)), Reason.NO_TIME),
    ("time as text", lambda: signed(params=parameters(created=f'"{SECONDS}"')), Reason.UNREADABLE),
    (
        "time as a decimal",
        lambda: signed(params=parameters(created=f"{SECONDS}.5")),
        Reason.UNREADABLE,
    ),
    ("time as a date", lambda: signed(params=parameters(created=f"@{SECONDS}")), Reason.UNREADABLE),
    ("time as a truth", lambda: signed(params=parameters(created="?1")), Reason.UNREADABLE),
    ("unknown caller", lambda: signed(params=parameters(keyid="nobody")), Reason.UNKNOWN_CALLER),
    ("caller in capitals", lambda: signed(params=parameters(keyid="API")), Reason.UNKNOWN_CALLER),
    ("long caller", lambda: signed(params=parameters(keyid="x" * 500)), Reason.UNREADABLE),
    ("no caller", lambda: signed(params=parameters(keyid=None)), Reason.UNREADABLE),
    ("no nonce", lambda: signed(params=parameters(nonce=None)), Reason.NO_NONCE),
    (
        "empty nonce",
        lambda: signed(params=parameters(nonce=None, more=';nonce=""')),
        Reason.NO_NONCE,
    ),
    ("long nonce", lambda: signed(params=parameters(nonce="x" * 65)), Reason.NO_NONCE),
    (
        "nonce as a number",
        lambda: signed(params=parameters(nonce=None, more=";nonce=1")),
        Reason.UNREADABLE,
    ),
    ("method not signed", lambda: signed(components=COMPONENTS[1:]), Reason.COMPONENTS_MISSING),
    ("digest not signed", lambda: signed(components=COMPONENTS[:-1]), Reason.COMPONENTS_MISSING),
    (
        "query not signed",
        lambda: signed(components=["@method", "@path", "content-digest"]),
        Reason.COMPONENTS_MISSING,
    ),
    (
        "path not signed",
        lambda: signed(components=["@method", "@query", "content-digest"]),
        Reason.COMPONENTS_MISSING,
    ),
    ("nothing signed", lambda: signed(components=[]), Reason.COMPONENTS_MISSING),
    ("in another order", lambda: signed(components=COMPONENTS[::-1]), Reason.OTHER_COMPONENTS),
    (
        "more signed",
        lambda: signed(components=[*COMPONENTS, "@scheme"], values={"@scheme": "http"}),
        Reason.OTHER_COMPONENTS,
    ),
    (
        "signed twice",
        lambda: signed(components=[*COMPONENTS, "@method"]),
        Reason.OTHER_COMPONENTS,
    ),
    (
        "digest of a response signed",
        lambda: with_input('sig1=("@method" "@path" "@query" "content-digest";req)'),
        Reason.COMPONENTS_MISSING,
    ),
    (
        "digest by its key",
        lambda: with_input('sig1=("@method" "@path" "@query" "content-digest";key="sha-256")'),
        Reason.COMPONENTS_MISSING,
    ),
    (
        "components as tokens",
        lambda: with_input("sig1=(method path query content-digest)"),
        Reason.COMPONENTS_MISSING,
    ),
    (
        "other algorithm",
        lambda: signed(params=parameters(more=';alg="hmac-sha512"')),
        Reason.UNKNOWN_ALGORITHM,
    ),
    (
        "no algorithm at all",
        lambda: signed(params=parameters(more=';alg="none"')),
        Reason.UNKNOWN_ALGORITHM,
    ),
    (
        "algorithm as a token",
        lambda: signed(params=parameters(more=";alg=none")),
        Reason.UNREADABLE,
    ),
    ("a tag", lambda: signed(params=parameters(more=';tag="web-bot-auth"')), Reason.UNREADABLE),
    ("unknown parameter", lambda: signed(params=parameters(more=";x=1")), Reason.UNREADABLE),
    ("empty headers", lambda: with_input("").with_header("signature", ""), Reason.UNREADABLE),
    ("input as a text", lambda: with_input('sig1="x"'), Reason.UNREADABLE),
    ("input as a list", lambda: with_input('("@method" "@path")'), Reason.UNREADABLE),
    ("input that never ends", lambda: with_input(INPUT[:-1]), Reason.UNREADABLE),
    ("lists in lists", lambda: with_input("sig1=" + "(" * 400), Reason.UNREADABLE),
    ("huge input", lambda: with_input(INPUT + ";x" * 10_000), Reason.UNREADABLE),
    ("input that is no ASCII", lambda: with_input(INPUT + ';nonce="ü"'), Reason.UNREADABLE),
    (
        "signature as a text",
        lambda: signed().with_header("signature", 'sig1="x"'),
        Reason.UNREADABLE,
    ),
    (
        "signature as a list",
        lambda: signed().with_header("signature", "sig1=(:AAAA:)"),
        Reason.UNREADABLE,
    ),
    (
        "signature by no base64",
        lambda: signed().with_header("signature", "sig1=:?:"),
        Reason.UNREADABLE,
    ),
    ("huge signature", lambda: signed().with_header("signature", "x" * 100_000), Reason.UNREADABLE),
    (
        "signature no ASCII",
        lambda: signed().with_header("signature", b"\xff\xfe"),
        Reason.UNREADABLE,
    ),
    ("digest no ASCII", lambda: signed().with_header("content-digest", b"\xff"), Reason.UNREADABLE),
    ("path no ASCII", lambda: replace(signed(), path=b"/\xc3\xbc"), Reason.UNREADABLE),
    ("query no ASCII", lambda: replace(signed(), query=b"\xff"), Reason.UNREADABLE),
    ("method no ASCII", lambda: replace(signed(), method="PÖST"), Reason.UNREADABLE),
    ("method in small letters", lambda: replace(signed(), method="post"), Reason.UNREADABLE),
    (
        "line within the path",
        lambda: replace(signed(), path=b'/banners\n"@query": ?v=1'),
        Reason.UNREADABLE,
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
    st.lists(PIECES, max_size=8).map(lambda p: (INPUT + ';keyid="api"' + "".join(p)).encode()),
)
NAMES = st.sampled_from(["signature", "signature-input", "content-digest"])
