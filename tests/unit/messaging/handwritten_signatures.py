"""
Calls signed according to RFC 9421, independently of `signing` and of the library it uses.

Each part can be changed, to build calls that are invalid in one place.
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
        """Return the call with another value of a header, or without it."""
        raw = value.encode() if isinstance(value, str) else value
        others = tuple(header for header in self.headers if header[0] != name.encode())
        return replace(self, headers=others if raw is None else (*others, (name.encode(), raw)))

    def with_another(self, name: str, value: str | None = None) -> "Call":
        """Return the call with an additional header; with the same value if none is given."""
        raw = self.header(name) if value is None else value.encode()
        return replace(self, headers=(*self.headers, (name.encode(), raw)))

    def header(self, name: str) -> bytes:
        return dict(self.headers)[name.encode()]


def content_digest(body: bytes, algorithm: str = "sha256") -> str:
    name = {"sha256": "sha-256", "sha512": "sha-512"}.get(algorithm, algorithm)
    return f"{name}=:{b64encode(hashlib.new(algorithm, body).digest()).decode()}:"


def parameters(
    *,
    created: object = SECONDS,
    keyid: str | None = "api",
    nonce: str | None = "",
    extra: str = "",
) -> str:
    """Build signature parameters; None omits one, and by default each call has a new nonce."""
    parameters_text = "" if created is None else f";created={created}"
    parameters_text += "" if keyid is None else f';keyid="{keyid}"'
    parameters_text += "" if nonce is None else f';nonce="{nonce or next(NONCES)}"'
    return parameters_text + extra


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
    """Sign a call according to https://www.rfc-editor.org/rfc/rfc9421#section-2.5."""
    call = call or Call()
    digest = content_digest(call.body) if digest is None else digest
    component_values = {
        "@method": call.method,
        "@path": call.path.decode(),
        "@query": f"?{call.query.decode()}",
        "content-digest": digest,
        **(values or {}),
    }
    params = parameters() if params is None else params
    signature_params = "({})".format(" ".join(f'"{name}"' for name in components)) + params
    lines = [f'"{name}": {component_values[name]}' for name in components]
    base = "\n".join([*lines, f'"@signature-params": {signature_params}'])
    mac = hmac.digest(key.reveal().encode(), base.encode(), "sha256")
    headers = {
        "content-digest": digest,
        "signature-input": f"{label}={signature_params}",
        "signature": f"{label}=:{b64encode(mac).decode()}:",
    }
    raw = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return replace(call, headers=call.headers + raw)


def verifier(
    *keys: Secret, nonces: NonceCache | None = None, seconds_later: float = 0, callers: str = "api"
) -> Verifier:
    """Create a verifier whose clock stands still."""
    now = NOW + timedelta(seconds=seconds_later)
    return Verifier(
        keys or (CURRENT, PREVIOUS),
        callers=[callers],
        nonces=NonceCache() if nonces is None else nonces,
        clock=lambda: now,
    )


def check_head(call: Call, call_verifier: Verifier) -> VerifiedHead:
    return call_verifier.check_head(call.method, call.path, call.query, call.headers)


def verify(call: Call, call_verifier: Verifier | None = None) -> VerifiedHead:
    """Verify a whole call: head and body."""
    call_verifier = call_verifier or verifier()
    head = check_head(call, call_verifier)
    call_verifier.check_body(head, call.body)
    return head
