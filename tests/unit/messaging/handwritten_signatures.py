"""
Signed calls, written from RFC 9421 by hand: good ones, and such as are wrong in one place.

Knows nothing of our signing nor of the library, so that both are measured against it.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count

from github_banners.messaging.nonces import NonceCache
from github_banners.messaging.signing import VerifiedHead, Verifier
from github_banners.settings import Secret

CURRENT, PREVIOUS, FOREIGN = Secret("current"), Secret("previous"), Secret("foreign")
NOW = datetime(2026, 11, 22, 16, 36, 37, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
COMPONENTS = ("@method", "@path", "@query", "content-digest")
BODY = b'{"url_path":"wycats-dark"}'
NONCES = map("nonce-{}".format, count())


@dataclass(frozen=True)
class Call:
    method: str = "POST"
    path: bytes = b"/banners"
    query: bytes = b"v=1"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = BODY

    def with_header(self, name: str, value: str | bytes | None) -> "Call":
        """The same call with another value of a header, or without it."""
        raw = value.encode() if isinstance(value, str) else value
        kept = tuple(one for one in self.headers if one[0] != name.encode())
        return replace(self, headers=kept if raw is None else (*kept, (name.encode(), raw)))

    def with_another(self, name: str, value: str | None = None) -> "Call":
        """The same call with one header more of a name: the same once more, if no value is given."""
        raw = self.header(name) if value is None else value.encode()
        return replace(self, headers=(*self.headers, (name.encode(), raw)))

    def header(self, name: str) -> bytes:
        return dict(self.headers)[name.encode()]


def digest_of(body: bytes, algorithm: str = "sha256") -> str:
    name = {"sha256": "sha-256", "sha512": "sha-512"}.get(algorithm, algorithm)
    return f"{name}=:{b64encode(hashlib.new(algorithm, body).digest()).decode()}:"


def parameters(
    *,
    created: object = SECONDS,
    keyid: str | None = "api",
    nonce: str | None = "",
    more: str = "",
) -> str:
    """Signature parameters; None leaves one out, and every call gets a nonce of its own."""
    written = "" if created is None else f";created={created}"
    written += "" if keyid is None else f';keyid="{keyid}"'
    written += "" if nonce is None else f';nonce="{nonce or next(NONCES)}"'
    return written + more


def signed(
    call: Call | None = None,
    *,
    key: Secret = CURRENT,
    params: str | None = None,
    components: Sequence[str] = COMPONENTS,
    label: str = "sig1",
    digest: str | None = None,
    values: Mapping[str, str] | None = None,
) -> Call:
    """Sign a call as https://www.rfc-editor.org/rfc/rfc9421#section-2.5 says."""
    call = call or Call()
    digest = digest_of(call.body) if digest is None else digest
    known = {
        "@method": call.method,
        "@path": call.path.decode(),
        "@query": f"?{call.query.decode()}",
        "content-digest": digest,
        **(values or {}),
    }
    params = parameters() if params is None else params
    listed = "({})".format(" ".join(f'"{name}"' for name in components)) + params
    lines = [f'"{name}": {known[name]}' for name in components]
    base = "\n".join([*lines, f'"@signature-params": {listed}'])
    mac = hmac.digest(key.reveal().encode(), base.encode(), "sha256")
    headers = {
        "content-digest": digest,
        "signature-input": f"{label}={listed}",
        "signature": f"{label}=:{b64encode(mac).decode()}:",
    }
    raw = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return replace(call, headers=call.headers + raw)


def verifier(
    *keys: Secret, nonces: NonceCache | None = None, seconds_later: float = 0, callers: str = "api"
) -> Verifier:
    """A verifier whose clock stands still."""
    now = NOW + timedelta(seconds=seconds_later)
    return Verifier(
        keys or (CURRENT, PREVIOUS),
        callers=[callers],
        nonces=NonceCache() if nonces is None else nonces,
        clock=lambda: now,
    )


def check_head(call: Call, by: Verifier) -> VerifiedHead:
    return by.check_head(call.method, call.path, call.query, call.headers)


def check(call: Call, by: Verifier | None = None) -> VerifiedHead:
    """Have a whole call verified."""
    by = by or verifier()
    claim = check_head(call, by)
    by.check_body(claim, call.body)
    return claim
