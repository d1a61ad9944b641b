"""Our signatures are valid; every forged call is refused for its own reason."""

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
    check_head,
    parameters,
    signed,
    verifier,
    verify,
)


@dataclass
class LibraryMessage:
    """A message in the form that the library expects, with a URL that it can parse."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


def create_signer(key: Secret = CURRENT, nonce: str = "n-1") -> Signer:
    return Signer(key, service="api", clock=lambda: NOW, make_nonce=lambda: nonce)


def signed_by_us(
    url: str = "http://storage:8082/banners?v=1", method: str = "POST", body: bytes = BODY
) -> Call:
    """Sign a call with `Signer`; path and query are those that an HTTP client sends."""
    headers = create_signer().sign(method, url, body)
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


# Valid signatures


def test_sign_returns_the_expected_headers() -> None:
    # Digest and signature were made with `openssl dgst`.
    assert create_signer().sign("POST", "http://storage:8082/banners?v=1", BODY) == {
        "content-digest": "sha-256=:1rGDl7hzJ8h0hgog2Bi3TdIXOYGJnNL0EnV7KQwt2VA=:",
        "signature-input": 'sig1=("@method" "@path" "@query" "content-digest")'
        ';created=1795365397;keyid="api";nonce="n-1"',
        "signature": "sig1=:gaBpi3suJmP+OGFmKVq9ur1MqXH42e8AHEDWheIPfek=:",
    }


def test_sign_equals_the_handwritten_signature() -> None:
    handwritten = signed(params=parameters(nonce="n-1"))
    assert dict(signed_by_us().headers) == dict(handwritten.headers)


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
def test_verify_our_signature_is_valid(url: str, body: bytes) -> None:
    head = verify(signed_by_us(url, body=body))
    assert head.caller == "api"
    assert head.nonce == "n-1"


@pytest.mark.parametrize("method", ["GET", "get", "DELETE"])
def test_verify_any_method_is_valid(method: str) -> None:
    assert verify(signed_by_us(method=method, body=b"")).caller == "api"


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
def test_sign_url_that_a_client_would_change_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be an absolute URL"):
        create_signer().sign("GET", url)


@given(st.text(max_size=40), st.text(max_size=20))
def test_sign_any_url_of_httpx2_is_valid(path: str, query: str) -> None:
    try:
        request = httpx2.Request("GET", f"http://storage:8082/{path}?{query}")
    except httpx2.InvalidURL:
        return
    assert verify(signed_by_us(str(request.url), body=b"")).caller == "api"


def test_sign_twice_differs() -> None:
    signer = Signer(CURRENT, service="api")
    first, second = (signer.sign("GET", "http://storage/banners") for _ in range(2))
    assert first["content-digest"] == second["content-digest"]
    assert first["signature-input"] != second["signature-input"]
    assert first["signature"] != second["signature"]


def test_verify_previous_key_is_valid() -> None:
    call = signed(key=PREVIOUS)
    verify(call, verifier(CURRENT, PREVIOUS))
    with refused(RefusalReason.WRONG_KEY):
        verify(call, verifier(CURRENT))


@pytest.mark.parametrize("seconds_later", [-60, -59, 0, 59, 60])
def test_verify_clock_difference_up_to_a_minute_is_valid(seconds_later: float) -> None:
    verify(signed(), verifier(seconds_later=seconds_later))


@pytest.mark.parametrize(
    ("seconds_later", "reason"), [(60.001, RefusalReason.TOO_OLD), (-60.001, RefusalReason.TOO_NEW)]
)
def test_verify_clock_difference_above_a_minute_is_refused(
    seconds_later: float, reason: RefusalReason
) -> None:
    with refused(reason):
        check_head(signed(), verifier(seconds_later=seconds_later))


@pytest.mark.parametrize(
    "extra", [';alg="hmac-sha256"', f";expires={SECONDS}", f";expires={SECONDS + 9999}"]
)
def test_verify_optional_parameters_are_valid(extra: str) -> None:
    verify(signed(params=parameters(extra=extra)))


def test_verify_capitalised_header_names_are_valid() -> None:
    call = signed()
    verify(replace(call, headers=tuple((name.title(), value) for name, value in call.headers)))


def test_verify_other_headers_are_ignored() -> None:
    verify(signed().with_header("x-signature", "old").with_header("cookie", b"\xff" * 9999))


# Compatibility with the library


@pytest.mark.parametrize("url", [url for url in URLS if "|" not in url])
def test_library_verifies_our_signature(url: str) -> None:
    headers = Signer(CURRENT, service="api", clock=utc_now).sign("POST", url, BODY)
    library = HTTPMessageVerifier(signature_algorithm=HMAC_SHA256, key_resolver=library_keys())
    (result,) = library.verify(
        LibraryMessage("POST", url, headers), body=BODY, require_components=COMPONENTS
    )
    assert (result.label, result.body) == ("sig1", BODY)
    with pytest.raises(LibraryInvalidSignature):
        library.verify(LibraryMessage("GET", url, headers), body=BODY)


@pytest.mark.parametrize("include_alg", [True, False])
@pytest.mark.parametrize("body", [b"", BODY], ids=["empty", "short"])
def test_verify_signature_of_the_library_is_valid(include_alg: bool, body: bytes) -> None:
    message = LibraryMessage("POST", "http://storage/banners?v=1")
    HTTPMessageSigner(signature_algorithm=HMAC_SHA256, key_resolver=library_keys()).sign(
        message,
        key_id="api",
        created=NOW,
        nonce="n-1",
        label="sig1",
        include_alg=include_alg,
        covered_component_ids=COMPONENTS,
        body=body,
    )
    raw = tuple((name.lower().encode(), value.encode()) for name, value in message.headers.items())
    assert verify(Call(headers=raw, body=body)).nonce == "n-1"


# Refused calls


@pytest.mark.parametrize(
    ("forge", "reason"),
    [(forge, reason) for _, forge, reason in FORGED_HEADS],
    ids=[name for name, _, _ in FORGED_HEADS],
)
def test_check_head_forged_head_is_refused(
    forge: Callable[[], Call], reason: RefusalReason
) -> None:
    nonces = NonceCache()
    with refused(reason):
        check_head(forge(), verifier(nonces=nonces))
    assert len(nonces) == 0


def test_every_refusal_reason_has_a_forged_call() -> None:
    of_bodies = {RefusalReason.BODY_CHANGED, RefusalReason.REPEATED}
    assert {reason for _, _, reason in FORGED_HEADS} | of_bodies == set(RefusalReason)


@pytest.mark.parametrize("body", [b"", BODY + b" ", BODY[:-1]], ids=["none", "longer", "shorter"])
def test_verify_changed_body_is_refused_and_uses_no_nonce(body: bytes) -> None:
    call_verifier = verifier()
    call = signed()
    with refused(RefusalReason.BODY_CHANGED):
        verify(replace(call, body=body), call_verifier)
    verify(call, call_verifier)


def test_verify_repeated_call_is_refused() -> None:
    call_verifier = verifier()
    call = signed()
    verify(call, call_verifier)
    with refused(RefusalReason.REPEATED):
        verify(call, call_verifier)
    verify(signed(), call_verifier)


def test_check_body_concurrent_repetition_is_refused() -> None:
    call_verifier = verifier()
    call = signed()
    heads = [check_head(call, call_verifier), check_head(call, call_verifier)]
    call_verifier.check_body(heads[1], call.body)
    with refused(RefusalReason.REPEATED):
        call_verifier.check_body(heads[0], call.body)


def test_verify_nonce_of_another_call_is_refused() -> None:
    call_verifier = verifier()
    verify(signed(params=parameters(nonce="n-1")), call_verifier)
    with refused(RefusalReason.REPEATED):
        verify(
            signed(Call(path=b"/other"), params=parameters(nonce="n-1"), key=PREVIOUS),
            call_verifier,
        )


@pytest.mark.parametrize("created", [SECONDS - 60, SECONDS, SECONDS + 60])
def test_check_body_late_body_is_refused(created: int) -> None:
    nonces = NonceCache()
    call = signed(params=parameters(created=created))
    head = check_head(call, verifier(nonces=nonces))
    seconds_left = created + 60 - SECONDS
    with refused(RefusalReason.TOO_OLD):
        verifier(nonces=nonces, seconds_later=seconds_left + 0.001).check_body(head, call.body)
    assert len(nonces) == 0
    verifier(nonces=nonces, seconds_later=seconds_left).check_body(head, call.body)


def test_check_body_expired_call_is_refused() -> None:
    call = signed(params=parameters(extra=f";expires={SECONDS + 5}"))
    head = check_head(call, verifier())
    with refused(RefusalReason.TOO_OLD):
        verifier(seconds_later=6).check_body(head, call.body)


def test_verify_full_nonce_cache_accepts_no_call() -> None:
    nonces = NonceCache(max_size=1)
    call_verifier = verifier(nonces=nonces)
    first = signed()
    verify(first, call_verifier)
    with pytest.raises(NonceCacheFull):
        verify(signed(), call_verifier)
    with refused(RefusalReason.REPEATED):
        verify(first, call_verifier)


def test_verify_without_keys_refuses_all_calls() -> None:
    keyless = Verifier([], callers=["api"], nonces=NonceCache(), clock=lambda: NOW)
    with refused(RefusalReason.WRONG_KEY):
        verify(signed(), keyless)


def test_repr_and_errors_contain_no_secret() -> None:
    with pytest.raises(InvalidSignature) as caught:
        verify(signed(key=FOREIGN))
    shown = (
        repr(caught.value) + repr(caught.value.__cause__) + repr(verifier()) + repr(create_signer())
    )
    assert not any(secret.reveal() in shown for secret in (CURRENT, PREVIOUS, FOREIGN))


# Random input


def verify_or_reason(call: Call) -> str:
    """Return the caller, or the reason of the refusal."""
    try:
        return verify(call).caller
    except InvalidSignature as error:
        return str(error)


@given(st.dictionaries(NAMES, GARBAGE, min_size=1))
def test_verify_garbage_in_a_header_is_refused(garbage: dict[str, bytes]) -> None:
    call = signed()
    for name, value in garbage.items():
        call = call.with_header(name, value)
    assert verify_or_reason(call) in set(RefusalReason)


@given(
    st.lists(st.tuples(st.binary(max_size=20), GARBAGE)),
    st.text(max_size=9),
    st.binary(),
    st.binary(),
)
def test_check_head_garbage_everywhere_is_refused(
    headers: list[tuple[bytes, bytes]], method: str, path: bytes, query: bytes
) -> None:
    with pytest.raises(InvalidSignature):
        verifier().check_head(method, path, query, headers)
    with pytest.raises(InvalidSignature):
        verifier().check_head(method, path, query, (*signed().headers, *headers))


@given(st.lists(PIECES, max_size=8))
def test_verify_signed_garbage_is_valid_or_refused(pieces: list[str]) -> None:
    params = parameters(extra="".join(pieces))
    call = signed(params=params)
    assert verify_or_reason(call) in {"api", *RefusalReason}


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("name", ["signature", "signature-input", "content-digest"])
def test_verify_any_flipped_bit_is_refused(name: str, bit: int) -> None:
    good = signed_by_us()
    value = good.header(name)
    for index, byte in enumerate(value):
        flipped = value[:index] + bytes([byte ^ 1 << bit]) + value[index + 1 :]
        assert verify_or_reason(good.with_header(name, flipped)) in set(RefusalReason)


def test_verify_other_encoding_of_a_signature_is_a_repetition() -> None:
    call_verifier = verifier()
    call = signed_by_us()
    verify(call, call_verifier)
    # The last digit of 32 bytes in base64 has two unused bits.
    respelled = call.header("signature").replace(b"fek=:", b"fel=:")
    with refused(RefusalReason.REPEATED):
        verify(call.with_header("signature", respelled), call_verifier)


def test_verify_uses_the_injected_clock_only() -> None:
    long_ago = NOW - timedelta(days=9999)
    signer = Signer(CURRENT, service="api", clock=lambda: long_ago)
    headers = signer.sign("POST", "http://storage/banners?v=1", BODY)
    raw = tuple((name.encode(), value.encode()) for name, value in headers.items())
    verify(Call(headers=raw), verifier(seconds_later=-9999 * 86400))
