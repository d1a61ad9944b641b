"""
Sign calls between services, and verify signatures.

HTTP Message Signatures (RFC 9421) in one fixed form: HMAC-SHA256 over method, path, query and digest
of the body, with time, nonce and sender. The library encodes and checks signatures; this module
decides how long a call is valid, who may call, and refuses repeated calls. No I/O.
https://www.rfc-editor.org/rfc/rfc9421 https://www.rfc-editor.org/rfc/rfc9530
"""

import re
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from hmac import compare_digest
from typing import Any, ClassVar

from http_message_signatures import (
    ContentDigest,
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureComponentResolver,
    HTTPSignatureKeyResolver,
    MappingKeyResolver,
    VerifyResult,
)
from http_message_signatures import InvalidSignature as LibraryInvalidSignature
from http_message_signatures.algorithms import HMAC_SHA256

from github_banners.errors import InvalidSignature
from github_banners.messaging.nonces import NonceCache
from github_banners.models import Clock, utc_now
from github_banners.settings import Secret

MAX_AGE_SECONDS = 60
"""The maximum difference between the sender's clock and ours, and the maximum age of a call."""

_LABEL = "sig1"
_COMPONENTS = ("@method", "@path", "@query", "content-digest")
_COVERED = tuple(f'"{component}"' for component in _COMPONENTS)
_HEADERS = (b"signature", b"signature-input", b"content-digest")
_MAX_HEADER_BYTES = 512  # ours have 150 at most
_MAX_NONCE_CHARACTERS = 64
_NONCE_BYTES = 16
_DIGEST = re.compile(r"sha-256=:[A-Za-z0-9+/]{43}=:")
# URLs that httpx2 sends unchanged: without characters that it would encode, see
# https://url.spec.whatwg.org/#path-percent-encode-set and #query-percent-encode-set, and without the
# segments `.` and `..`, which it resolves.
_URL = re.compile(
    r"[A-Za-z]+://[^/?#\s]+"
    r"(?P<path>(?:/(?!\.\.?(?:[/?#]|\Z))[!$-.0-;=@-_a-z|~]*)*)"
    r"(?:\?(?P<query>[!$-;=?-~]*))?"
    r"(?:#.*)?"
)


class RefusalReason(StrEnum):
    """Why a call is refused, for log and metric; not sent to the caller."""

    NO_SIGNATURE = "no signature"
    SEVERAL_SIGNATURES = "several signatures"
    UNREADABLE = "unreadable"
    """Not RFC 9421, too long, not ASCII, without a sender, or with unknown parameters."""
    WRONG_DIGEST = "wrong digest"
    """There is not exactly one `Content-Digest` with one sha-256."""
    UNKNOWN_ALGORITHM = "unknown algorithm"
    UNKNOWN_CALLER = "unknown caller"
    WRONG_KEY = "wrong key"
    """Or a changed method, path, query or header: a MAC does not tell which."""
    UNKNOWN_LABEL = "unknown label"
    COMPONENTS_MISSING = "components missing"
    OTHER_COMPONENTS = "other components"
    """Additional components, or another order."""
    NO_TIME = "no time"
    TOO_OLD = "too old"
    TOO_NEW = "too new"
    NO_NONCE = "no nonce"
    """The nonce is missing, empty or too long."""
    BODY_CHANGED = "body changed"
    REPEATED = "repeated"


@dataclass(frozen=True, slots=True)
class VerifiedHead:
    """The verified head of a call: its caller, and what it declares about the body."""

    caller: str
    nonce: str
    digest: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class _SignedMessage:
    """A request in the form that the library reads; path and query are as transmitted."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    url: str = "http://service/"


class _RawComponents(HTTPSignatureComponentResolver):
    """Takes path and query exactly as transmitted, instead of from a parsed URL."""

    derived_component_resolvers: ClassVar[dict[str, Callable[..., str]]] = {
        "@method": lambda resolver: resolver.message.method,
        "@path": lambda resolver: resolver.message.path,
        "@query": lambda resolver: f"?{resolver.message.query}",
    }


class Signer:
    """Signs the calls of one service."""

    def __init__(
        self,
        key: Secret,
        *,
        service: str,
        clock: Clock = utc_now,
        make_nonce: Callable[[], str] = lambda: secrets.token_urlsafe(_NONCE_BYTES),
    ) -> None:
        self._service = service
        self._clock = clock
        self._make_nonce = make_nonce
        keys = MappingKeyResolver(public_keys={}, private_keys={service: key.reveal().encode()})
        self._signer = HTTPMessageSigner(
            signature_algorithm=HMAC_SHA256,
            key_resolver=keys,
            component_resolver_class=_RawComponents,
        )

    def sign(self, method: str, url: str, body: bytes = b"") -> dict[str, str]:
        """
        Return the headers that sign a call, with a new nonce each time.

        `url` is absolute and encoded as it is sent: `str(request.url)` of an HTTP client's request.

        :raises ValueError: the URL is not absolute, or a client would send another one
        """
        parts = _URL.fullmatch(url)
        if parts is None:
            raise ValueError(
                f"must be an absolute URL in the form in which it is sent, not {url[:64]!r}"
            )
        head = _SignedMessage(method.upper(), parts["path"] or "/", parts["query"] or "", {})
        self._signer.sign(
            head,
            key_id=self._service,
            created=self._clock(),
            nonce=self._make_nonce(),
            label=_LABEL,
            include_alg=False,
            covered_component_ids=_COMPONENTS,
            body=body,
        )
        return {name.lower(): value for name, value in head.headers.items()}


class Verifier:
    """
    Verifies calls: first the head, then the body.

    `keys` are tried in order: the current one, then the previous one. `callers` are the services
    that may call this one.
    """

    def __init__(
        self,
        keys: Sequence[Secret],
        *,
        callers: Collection[str],
        nonces: NonceCache,
        clock: Clock = utc_now,
    ) -> None:
        self._nonces = nonces
        self._clock = clock
        self._verifier = _StrictVerifier(
            signature_algorithm=_MultiKeyHmac,
            key_resolver=_SharedKeys([key.reveal().encode() for key in keys], callers=callers),
            component_resolver_class=_RawComponents,
        )

    def check_head(
        self,
        method: str,
        raw_path: bytes,
        query: bytes,
        headers: Sequence[tuple[bytes, bytes]],
    ) -> VerifiedHead:
        """
        Verify everything that is known before the body arrives.

        :raises InvalidSignature: its message is a `RefusalReason`
        """
        signed = _read_headers(headers)
        with _mapping_errors():
            head = _SignedMessage(method, raw_path.decode("ascii"), query.decode("ascii"), signed)
            (result,) = self._verifier.verify(head, max_age=None)
        return _to_verified_head(result, now=self._clock().timestamp())

    def check_body(self, head: VerifiedHead, body: bytes) -> None:
        """
        Verify that this body was signed, and that the call is not repeated.

        The age is checked again: a body that arrives slowly must not outlive its nonce in the cache.

        :raises InvalidSignature: its message is a `RefusalReason`
        :raises NonceCacheFull: a repeated call could not be detected
        """
        with _mapping_errors(RefusalReason.BODY_CHANGED):
            ContentDigest.verify(head.digest, body)
        if self._clock().timestamp() > head.expires_at:
            raise InvalidSignature(RefusalReason.TOO_OLD)
        if not self._nonces.add(head.nonce):
            raise InvalidSignature(RefusalReason.REPEATED)


class _InvalidSignature(LibraryInvalidSignature):
    """An error with a reason, derived from the library's error so that the library lets it pass."""

    def __init__(self, reason: RefusalReason) -> None:
        super().__init__(reason)
        self.reason = reason


class _SharedKeys(HTTPSignatureKeyResolver):
    """Returns the same keys for each allowed caller."""

    def __init__(self, keys: Sequence[bytes], *, callers: Collection[str]) -> None:
        self._keys = tuple(keys)
        self._callers = frozenset(callers)

    def resolve_public_key(self, key_id: str) -> tuple[bytes, ...]:
        if key_id not in self._callers:
            raise _InvalidSignature(RefusalReason.UNKNOWN_CALLER)
        return self._keys


class _MultiKeyHmac(HMAC_SHA256):
    """HMAC-SHA256 with any of several keys; compares in constant time."""

    def verify(self, signature: bytes, message: bytes) -> None:
        macs = (HMAC_SHA256(key).sign(message) for key in self.shared_secret)  # type: ignore[no-untyped-call]
        if not any(compare_digest(mac, signature) for mac in macs):
            raise _InvalidSignature(RefusalReason.WRONG_KEY)


class _StrictVerifier(HTTPMessageVerifier):
    """The library's verifier, restricted to the one form of signature used here."""

    signature_metadata_parameters = HTTPMessageVerifier.signature_metadata_parameters - {"tag"}

    def validate_created_and_expires(self, sig_input: Any, max_age: object = None) -> None:
        """Check components and algorithm; times are checked later, with the injected clock."""
        _check_covered([str(component) for component in sig_input])
        if sig_input.params.get("alg", HMAC_SHA256.algorithm_id) != HMAC_SHA256.algorithm_id:
            raise _InvalidSignature(RefusalReason.UNKNOWN_ALGORITHM)


def _check_covered(components: Sequence[str]) -> None:
    if not set(components).issuperset(_COVERED):
        raise _InvalidSignature(RefusalReason.COMPONENTS_MISSING)
    if tuple(components) != _COVERED:
        raise _InvalidSignature(RefusalReason.OTHER_COMPONENTS)


@contextmanager
def _mapping_errors(reason: RefusalReason = RefusalReason.UNREADABLE) -> Iterator[None]:
    """Convert any error of the library to a refusal: on arbitrary input it may raise anything."""
    try:
        yield
    except _InvalidSignature as error:
        raise InvalidSignature(error.reason) from error
    except Exception as error:
        raise InvalidSignature(reason) from error


def _read_headers(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the three headers of a signature, after checks that need no parser."""
    values: dict[bytes, list[bytes]] = {name: [] for name in _HEADERS}
    for name, value in headers:
        values.get(name.lower(), []).append(value)
    signatures, inputs, digests = values.values()
    if not signatures or not inputs:
        raise InvalidSignature(RefusalReason.NO_SIGNATURE)
    if len(signatures) + len(inputs) > 2:
        raise InvalidSignature(RefusalReason.SEVERAL_SIGNATURES)
    signature, signature_input = _read_header(signatures[0]), _read_header(inputs[0])
    # A single signature contains no comma, and a header with two members does.
    if "," in signature + signature_input:
        raise InvalidSignature(RefusalReason.SEVERAL_SIGNATURES)
    if len(digests) != 1 or _DIGEST.fullmatch(digest := _read_header(digests[0])) is None:
        raise InvalidSignature(RefusalReason.WRONG_DIGEST)
    return {"signature": signature, "signature-input": signature_input, "content-digest": digest}


def _read_header(value: bytes) -> str:
    if len(value) > _MAX_HEADER_BYTES or not value.isascii():
        raise InvalidSignature(RefusalReason.UNREADABLE)
    return value.decode("ascii")


def _to_verified_head(result: VerifyResult, *, now: float) -> VerifiedHead:
    """Check the parameters of a valid signature, which come from a holder of the key."""
    parameters = result.parameters
    if result.label != _LABEL:
        raise InvalidSignature(RefusalReason.UNKNOWN_LABEL)
    return VerifiedHead(
        caller=str(parameters["keyid"]),
        nonce=_read_nonce(parameters.get("nonce")),
        digest=result.covered_components['"content-digest"'],
        expires_at=_expiry(parameters.get("created"), parameters.get("expires"), now=now),
    )


def _read_nonce(nonce: object) -> str:
    if not isinstance(nonce, str) or not 0 < len(nonce) <= _MAX_NONCE_CHARACTERS:
        raise InvalidSignature(RefusalReason.NO_NONCE)
    return nonce


def _expiry(created: object, expires: object, *, now: float) -> int:
    """Return the last valid second of a call, in seconds since 1970."""
    if not isinstance(created, int):
        raise InvalidSignature(RefusalReason.NO_TIME)
    if created - now > MAX_AGE_SECONDS:
        raise InvalidSignature(RefusalReason.TOO_NEW)
    expires_at = created + MAX_AGE_SECONDS
    expires_at = min(expires_at, expires) if isinstance(expires, int) else expires_at
    if now > expires_at:
        raise InvalidSignature(RefusalReason.TOO_OLD)
    return expires_at
