"""What is signed by us is good, and all else is refused, each forgery for its own reason."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import httpx2
import pytest
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    MappingKeyResolver,
)
from http_message_signatures import (
    InvalidSignature as LibraryInvalidSignature,
)
from http_message_signatures.algorithms import HMAC_SHA256
from hypothesis import given
from hypothesis import strategies as st

from github_banners.errors import InvalidSignature, NonceCacheFull
from github_banners.messaging.nonces import NonceCache
from github_banners.messaging.signing import RefusalReason, Signer, Verifier
from github_banners.models import utc_now
from github_banners.settings import Secret
from tests.unit.messaging.forged_calls import FORGED_HEADS, GARBAGE, NAMES, PIECES
from tests.unit.messaging.handwritten_signatures import (
    BODY,
    COMPONENTS,
    CURRENT,
    FOREIGN,
    NOW,
    PREVIOUS,
    SECONDS,
    Call,
    check,
    check_head,
    parameters,
    signed,
    verifier,
)


@dataclass
class Sent:
    """A message as the library wants it, with an address that it can parse."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


def our_signer(key: Secret = CURRENT, nonce: str = "n-1") -> Signer:
    return Signer(key, service="api", clock=lambda: NOW, make_nonce=lambda: nonce)


def our_call(
    url: str = "http://storage:8082/banners?v=1", method: str = "POST", body: bytes = BODY
) -> Call:
    """A call signed by us; path and query are those that an HTTP client sends."""
    headers = our_signer().sign(method, url, body)
    path, _, query = httpx2.URL(url).raw_path.partition(b"?")
    raw = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return Call(method.upper(), path, query, raw, body)


def library_keys() -> MappingKeyResolver:
    keys = {"api": CURRENT.reveal().encode()}
    return MappingKeyResolver(public_keys=keys, private_keys=keys)


@contextmanager
def refused(reason: RefusalReason) -> Iterator[None]:
    with pytest.raises(InvalidSignature) as caught:
        yield
    assert str(caught.value) == reason


# ── what is good


def test_a_call_is_signed_in_the_agreed_form() -> None:
    # Digest and signature were made with `openssl dgst`.
    assert our_signer().sign("POST", "http://storage:8082/banners?v=1", BODY) == {
        "content-digest": "sha-256=:1rGDl7hzJ8h0hgog2Bi3TdIXOYGJnNL0EnV7KQwt2VA=:",
        "signature-input": 'sig1=("@method" "@path" "@query" "content-digest")'
        ';created=1795365397;keyid="api";nonce="n-1"',
        "signature": "sig1=:gaBpi3suJmP+OGFmKVq9ur1MqXH42e8AHEDWheIPfek=:",
    }


def test_our_signature_is_the_one_written_by_hand() -> None:
    by_hand = signed(params=parameters(nonce="n-1"))
    assert dict(our_call().headers) == dict(by_hand.headers)


URLS = [
    "http://storage:8082/banners",
    "http://storage:8082/banners?",
    "http://storage:8082/banners?v=1&w=%20+/?:@",
    "http://storage:8082",
    "http://storage:8082?v=1",
    "http://storage:8082/banners/wycats%2Ddark%2F%2e%2E",
    "http://storage:8082/banners/|^[]\\@:!$&'()*+,;=~%zz",
    "http://storage:8082//banners//...",
    "https://user:password@[::1]:8082/banners/a.svg#part",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("body", [b"", BODY, b"\x00" * 100_000], ids=["empty", "short", "long"])
def test_what_we_sign_is_good(url: str, body: bytes) -> None:
    claim = check(our_call(url, body=body))
    assert claim.caller == "api"
    assert claim.nonce == "n-1"


@pytest.mark.parametrize("method", ["GET", "get", "DELETE"])
def test_any_method_can_be_signed(method: str) -> None:
    assert check(our_call(method=method, body=b"")).caller == "api"


@pytest.mark.parametrize(
    "url",
    [
        "/banners",
        "storage:8082/banners",
        "http:///banners",
        "http://storage/a b",
        "http://storage/ü",
        "http://storage/{name}",
        'http://storage/a?b="c"',
        "http://storage/a\nb",
        "http://storage/banners/../x",
        "http://storage/banners/..",
        "http://storage/./banners?v=1",
    ],
)
def test_what_a_client_would_send_otherwise_is_not_signed(url: str) -> None:
    with pytest.raises(ValueError, match="must be an absolute URL"):
        our_signer().sign("GET", url)


@given(st.text(max_size=40), st.text(max_size=20))
def test_what_a_client_sends_is_what_is_signed(path: str, query: str) -> None:
    try:
        request = httpx2.Request("GET", f"http://storage:8082/{path}?{query}")
    except httpx2.InvalidURL:
        return
    assert check(our_call(str(request.url), body=b"")).caller == "api"


def test_every_signature_is_another_one() -> None:
    signer = Signer(CURRENT, service="api")
    first, second = (signer.sign("GET", "http://storage/banners") for _ in range(2))
    assert first["content-digest"] == second["content-digest"]
    assert first["signature-input"] != second["signature-input"]
    assert first["signature"] != second["signature"]


def test_the_key_before_is_good_too() -> None:
    call = signed(key=PREVIOUS)
    check(call, verifier(CURRENT, PREVIOUS))
    with refused(RefusalReason.WRONG_KEY):
        check(call, verifier(CURRENT))


@pytest.mark.parametrize("seconds_later", [-60, -59, 0, 59, 60])
def test_a_call_is_good_for_a_minute_before_and_after(seconds_later: float) -> None:
    check(signed(), verifier(seconds_later=seconds_later))


@pytest.mark.parametrize(
    ("seconds_later", "reason"), [(60.001, RefusalReason.TOO_OLD), (-60.001, RefusalReason.TOO_NEW)]
)
def test_a_minute_is_no_longer(seconds_later: float, reason: RefusalReason) -> None:
    with refused(reason):
        check_head(signed(), verifier(seconds_later=seconds_later))


@pytest.mark.parametrize(
    "more", [';alg="hmac-sha256"', f";expires={SECONDS}", f";expires={SECONDS + 9999}"]
)
def test_what_may_stand_in_a_signature_besides(more: str) -> None:
    check(signed(params=parameters(more=more)))


def test_header_names_may_be_written_in_capitals() -> None:
    call = signed()
    check(replace(call, headers=tuple((name.title(), value) for name, value in call.headers)))


def test_other_headers_do_not_matter() -> None:
    check(signed().with_header("x-signature", "old").with_header("cookie", b"\xff" * 9999))


# ── we and the library, both ways


@pytest.mark.parametrize("url", [url for url in URLS if "|" not in url])
def test_the_library_takes_our_signature(url: str) -> None:
    headers = Signer(CURRENT, service="api", clock=utc_now).sign("POST", url, BODY)
    library = HTTPMessageVerifier(signature_algorithm=HMAC_SHA256, key_resolver=library_keys())
    (result,) = library.verify(Sent("POST", url, headers), body=BODY, require_components=COMPONENTS)
    assert (result.label, result.body) == ("sig1", BODY)
    with pytest.raises(LibraryInvalidSignature):
        library.verify(Sent("GET", url, headers), body=BODY)


@pytest.mark.parametrize("include_alg", [True, False])
@pytest.mark.parametrize("body", [b"", BODY], ids=["empty", "short"])
def test_we_take_the_signature_of_the_library(include_alg: bool, body: bytes) -> None:
    sent = Sent("POST", "http://storage/banners?v=1")
    HTTPMessageSigner(signature_algorithm=HMAC_SHA256, key_resolver=library_keys()).sign(
        sent,
        key_id="api",
        created=NOW,
        nonce="n-1",
        label="sig1",
        include_alg=include_alg,
        covered_component_ids=COMPONENTS,
        body=body,
    )
    raw = tuple((name.lower().encode(), value.encode()) for name, value in sent.headers.items())
    assert check(Call(headers=raw, body=body)).nonce == "n-1"


# ── what is refused


@pytest.mark.parametrize(
    ("forge", "reason"),
    [(forge, reason) for _, forge, reason in FORGED_HEADS],
    ids=[name for name, _, _ in FORGED_HEADS],
)
def test_a_forged_head_is_refused_before_the_body(
    forge: Callable[[], Call], reason: RefusalReason
) -> None:
    nonces = NonceCache()
    with refused(reason):
        check_head(forge(), verifier(nonces=nonces))
    assert len(nonces) == 0


def test_every_reason_has_a_forgery() -> None:
    of_bodies = {RefusalReason.BODY_CHANGED, RefusalReason.REPEATED}
    assert {reason for _, _, reason in FORGED_HEADS} | of_bodies == set(RefusalReason)


@pytest.mark.parametrize("body", [b"", BODY + b" ", BODY[:-1]], ids=["none", "longer", "shorter"])
def test_a_changed_body_is_refused_and_burns_no_nonce(body: bytes) -> None:
    by = verifier()
    call = signed()
    with refused(RefusalReason.BODY_CHANGED):
        check(replace(call, body=body), by)
    check(call, by)


def test_a_call_is_good_once() -> None:
    by = verifier()
    call = signed()
    check(call, by)
    with refused(RefusalReason.REPEATED):
        check(call, by)
    check(signed(), by)


def test_of_two_calls_at_once_the_first_is_good() -> None:
    by = verifier()
    call = signed()
    claims = [check_head(call, by), check_head(call, by)]
    by.check_body(claims[1], call.body)
    with refused(RefusalReason.REPEATED):
        by.check_body(claims[0], call.body)


def test_a_nonce_counts_under_another_signature_too() -> None:
    by = verifier()
    check(signed(params=parameters(nonce="n-1")), by)
    with refused(RefusalReason.REPEATED):
        check(signed(Call(path=b"/other"), params=parameters(nonce="n-1"), key=PREVIOUS), by)


@pytest.mark.parametrize("created", [SECONDS - 60, SECONDS, SECONDS + 60])
def test_a_body_that_comes_late_does_not_outlive_its_nonce(created: int) -> None:
    nonces = NonceCache()
    call = signed(params=parameters(created=created))
    claim = check_head(call, verifier(nonces=nonces))
    until = created + 60 - SECONDS
    with refused(RefusalReason.TOO_OLD):
        verifier(nonces=nonces, seconds_later=until + 0.001).check_body(claim, call.body)
    assert len(nonces) == 0
    verifier(nonces=nonces, seconds_later=until).check_body(claim, call.body)


def test_a_body_that_comes_after_it_expires_is_refused() -> None:
    call = signed(params=parameters(more=f";expires={SECONDS + 5}"))
    claim = check_head(call, verifier())
    with refused(RefusalReason.TOO_OLD):
        verifier(seconds_later=6).check_body(claim, call.body)


def test_a_full_memory_takes_no_call_twice() -> None:
    nonces = NonceCache(max_size=1)
    by = verifier(nonces=nonces)
    first = signed()
    check(first, by)
    with pytest.raises(NonceCacheFull):
        check(signed(), by)
    with refused(RefusalReason.REPEATED):
        check(first, by)


def test_who_has_no_key_takes_no_call() -> None:
    keyless = Verifier([], callers=["api"], nonces=NonceCache(), clock=lambda: NOW)
    with refused(RefusalReason.WRONG_KEY):
        check(signed(), keyless)


def test_no_secret_is_in_what_is_shown() -> None:
    with pytest.raises(InvalidSignature) as caught:
        check(signed(key=FOREIGN))
    shown = (
        repr(caught.value) + repr(caught.value.__cause__) + repr(verifier()) + repr(our_signer())
    )
    assert not any(secret.reveal() in shown for secret in (CURRENT, PREVIOUS, FOREIGN))


# ── what nobody thought of


def judged(call: Call) -> str:
    """Who called, or why it was refused."""
    try:
        return check(call).caller
    except InvalidSignature as error:
        return str(error)


@given(st.dictionaries(NAMES, GARBAGE, min_size=1))
def test_garbage_in_a_good_call_is_refused(garbage: dict[str, bytes]) -> None:
    call = signed()
    for name, value in garbage.items():
        call = call.with_header(name, value)
    assert judged(call) in set(RefusalReason)


@given(
    st.lists(st.tuples(st.binary(max_size=20), GARBAGE)),
    st.text(max_size=9),
    st.binary(),
    st.binary(),
)
def test_garbage_all_over_is_refused(
    headers: list[tuple[bytes, bytes]], method: str, path: bytes, query: bytes
) -> None:
    with pytest.raises(InvalidSignature):
        verifier().check_head(method, path, query, headers)
    with pytest.raises(InvalidSignature):
        verifier().check_head(method, path, query, (*signed().headers, *headers))


@given(st.lists(PIECES, max_size=8))
def test_garbage_that_is_signed_is_read_or_refused(pieces: list[str]) -> None:
    params = parameters(more="".join(pieces))
    call = signed(params=params)
    assert judged(call) in {"api", *RefusalReason}


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("name", ["signature", "signature-input", "content-digest"])
def test_a_bit_that_flips_anywhere_is_refused(name: str, bit: int) -> None:
    good = our_call()
    value = good.header(name)
    for at, byte in enumerate(value):
        flipped = value[:at] + bytes([byte ^ 1 << bit]) + value[at + 1 :]
        assert judged(good.with_header(name, flipped)) in set(RefusalReason)


def test_another_spelling_of_a_signature_is_no_other_call() -> None:
    by = verifier()
    call = our_call()
    check(call, by)
    # The last digit of 32 bytes in base64 has two bits that mean nothing.
    respelled = call.header("signature").replace(b"fek=:", b"fel=:")
    with refused(RefusalReason.REPEATED):
        check(call.with_header("signature", respelled), by)


def test_time_runs_by_our_clock_alone() -> None:
    long_ago = NOW - timedelta(days=9999)
    signer = Signer(CURRENT, service="api", clock=lambda: long_ago)
    headers = signer.sign("POST", "http://storage/banners?v=1", BODY)
    raw = tuple((name.encode(), value.encode()) for name, value in headers.items())
    check(Call(headers=raw), verifier(seconds_later=-9999 * 86400))
