"""
The connection to GitHub: proxy, certificates, the size of a response, and the cause of a failure.

`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` and `SSL_CERT_FILE` count here and nowhere else: our
own services and the database are always reached directly. A client with `trust_env=True` would read
them too, but netrc besides, whose passwords would replace our tokens.
"""

import asyncio
import ipaddress
import os
import re
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import httpx2

from github_banners.errors import ConfigurationError
from github_banners.github.protocol import shorten

MAX_RESPONSE_BYTES = 16 << 20
"""Size of a response, on the wire and unpacked; a hundred repositories are half a megabyte."""

_CONNECT_TIMEOUT_SECONDS = 2.0
_LARGE_RESPONSE_BYTES = 1 << 20
_MAX_LARGE_RESPONSES = 2
_PIECE_BYTES = 1 << 18
_HOST = re.compile(r"[\w.:-]+")
_PROXY_SCHEMES = {"http", "https"}
# gzip or zlib, by the header of the data: https://docs.python.org/3/library/zlib.html#zlib.decompressobj
_ANY_WINDOW = zlib.MAX_WBITS | 32


class UnreadableBody(Exception):
    """The body of a response is cut off, or packed in an unknown way."""


class TooLargeBody(Exception):
    """The body of a response is larger than anything that GitHub sends."""


@asynccontextmanager
async def open_http(
    *,
    timeout: timedelta,  # noqa: ASYNC109 - bounds each wait on the wire
    api_url: str,
    environment: Mapping[str, str] = os.environ,
) -> AsyncIterator[httpx2.AsyncClient]:
    """
    Open the client that every request to `api_url` shares; `timeout` bounds each wait on the wire.

    :raises ConfigurationError: the proxy or the certificates that the environment names can't be used
    """
    limits = httpx2.Limits(max_connections=100, max_keepalive_connections=20)
    proxy = proxy_from_environment(api_url, environment)
    is_tls = api_url.startswith("https:") or (proxy is not None and proxy.url.scheme == "https")
    transport = _Transport(
        verify=_create_tls_context(environment) if is_tls else _NO_TLS,
        trust_env=False,
        limits=limits,
        proxy=proxy,
    )
    wait = httpx2.Timeout(timeout.total_seconds(), connect=_CONNECT_TIMEOUT_SECONDS)
    async with httpx2.AsyncClient(transport=transport, timeout=wait, trust_env=False) as http:
        yield http


def proxy_from_environment(url: str, environment: Mapping[str, str]) -> httpx2.Proxy | None:
    """
    Find the proxy for an address, by the rules of Go's `ProxyFromEnvironment` and `ALL_PROXY`.

    Loopback is always reached directly. Lower-case names win, as in curl.
    https://pkg.go.dev/golang.org/x/net/http/httpproxy

    :raises ConfigurationError: the proxy's address can't be used; its text, which may hold a password,
        is not repeated
    """
    target = httpx2.URL(url)
    if _is_direct(target, _read_variable(environment, "NO_PROXY")[1]):
        return None
    for variable in (f"{target.scheme.upper()}_PROXY", "ALL_PROXY"):
        name, address = _read_variable(environment, variable)
        if address:
            return _parse_proxy(name, address)
    return None


async def read_body(response: httpx2.Response, *, large_responses: asyncio.Semaphore) -> bytes:
    """
    Read and unpack a streamed body, never holding more than `MAX_RESPONSE_BYTES` of it.

    httpx2 would unpack each chunk whole, and 64 KB of gzip can become 64 MB. Only a few responses at
    a time, by `large_responses`, may grow beyond a megabyte.

    :raises UnreadableBody: it is cut off or not packed as asked for
    :raises TooLargeBody: it is larger
    """
    body, is_large = bytearray(), False
    try:
        async with AsyncExitStack() as stack:
            async for piece in _unpack(response):
                if len(body) + len(piece) > MAX_RESPONSE_BYTES:
                    raise TooLargeBody(f"a response of more than {MAX_RESPONSE_BYTES >> 20} MB")
                body += piece
                if not is_large and len(body) > _LARGE_RESPONSE_BYTES:
                    is_large = True
                    await stack.enter_async_context(large_responses)
            return bytes(body)
    finally:
        # An error would keep it alive with its traceback.
        body.clear()


async def _unpack(response: httpx2.Response) -> AsyncIterator[bytes]:
    """Yield the body in pieces; others get their turn between those that are unpacked."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "", "gzip", "x-gzip"}:
        raise UnreadableBody("unknown content encoding")
    if not encoding.endswith("gzip"):
        async for chunk in response.aiter_raw():
            yield chunk
        return
    unpacker, is_empty = zlib.decompressobj(_ANY_WINDOW), True
    async for chunk in response.aiter_raw():
        rest, is_empty = chunk, False
        while rest and not unpacker.eof:
            try:
                piece = unpacker.decompress(rest, _PIECE_BYTES)
            except zlib.error as error:
                raise UnreadableBody(f"broken gzip: {error}") from error
            rest = unpacker.unconsumed_tail
            yield piece
            if rest:
                await asyncio.sleep(0)
    if not is_empty and not unpacker.eof:
        raise UnreadableBody("the packed body is cut off")


def make_large_response_slots() -> asyncio.Semaphore:
    """Make what `read_body` takes; one for each process is enough."""
    return asyncio.Semaphore(_MAX_LARGE_RESPONSES)


def describe_error(error: BaseException, *, host: str = "") -> str:
    """Name the cause of a failed request: name, refused, certificate, proxy, time-out."""
    if isinstance(error, httpx2.ProxyError):
        return f"proxy: {shorten(str(error))}"
    reasons = (_describe_cause(cause, host) for cause in _causes(error))
    known = next((reason for reason in reasons if reason), None)
    return known or shorten(f"{type(error).__name__} {error}".strip())


def _describe_cause(cause: BaseException, host: str) -> str | None:
    reason = None
    match cause:
        case socket.gaierror():
            name = f"the name {host}" if host else "the name"
            reason = f"{name} can't be resolved ({shorten(cause.strerror or str(cause))})"
        case ssl.SSLCertVerificationError():
            reason = f"the certificate is not trusted ({shorten(cause.verify_message)})"
            reason += ": name your own authority in SSL_CERT_FILE"
        case ssl.SSLError():
            reason = f"no TLS connection ({shorten(cause.reason or str(cause))})"
        case httpx2.ConnectTimeout():
            reason = f"time-out: no connection within {_CONNECT_TIMEOUT_SECONDS:g} s"
        case httpx2.TimeoutException() | TimeoutError():
            reason = "time-out: no whole response in time"
        case ConnectionRefusedError():
            reason = "the connection is refused"
        case ConnectionError() | httpx2.RemoteProtocolError():
            reason = f"the connection broke ({shorten(str(cause)) or type(cause).__name__})"
        case OSError(strerror=str(words)):
            reason = shorten(words)
    return reason


class _Transport(httpx2.AsyncHTTPTransport):
    """Tells a proxy that can't be reached from a GitHub that can't."""

    def __init__(self, *, proxy: httpx2.Proxy | None, verify: ssl.SSLContext, **options: object):
        if proxy is not None and proxy.url.scheme == "https":
            proxy.ssl_context = verify
        super().__init__(proxy=proxy, verify=verify, **options)  # type: ignore[arg-type]
        self._proxy_address = proxy.url.netloc.decode() if proxy is not None else ""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, through the proxy if there is one."""
        try:
            return await super().handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            # With a proxy only the handshake within the tunnel concerns GitHub itself.
            if not self._proxy_address or any(isinstance(e, ssl.SSLError) for e in _causes(error)):
                raise
            reason = describe_error(error, host=self._proxy_address)
            raise httpx2.ProxyError(f"{self._proxy_address}: {reason}") from error


# Trusts nobody: what is reached without TLS needs no certificates, which take time to load.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _create_tls_context(environment: Mapping[str, str]) -> ssl.SSLContext:
    """Trust what the system trusts, and the authorities that the environment names."""
    context = httpx2.create_ssl_context(trust_env=False)
    named = {name: environment.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    if not any(named.values()):
        return context
    try:
        context.load_verify_locations(named["SSL_CERT_FILE"] or None, named["SSL_CERT_DIR"] or None)
    except OSError as error:
        names = " or ".join(name for name, value in named.items() if value)
        is_unfit = isinstance(error, ssl.SSLError)
        reason = "no certificates in PEM format" if is_unfit else error.strerror
        raise ConfigurationError(f"{names} can't be used: {reason}.") from error
    return context


def _read_variable(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    for spelling in (name.lower(), name):
        if value := environment.get(spelling, "").strip().strip("'\""):
            return spelling, value
    return name, ""


def _parse_proxy(name: str, address: str) -> httpx2.Proxy:
    advice = f"{name} can't be used: give it as http://host:port or https://host:port."
    if "://" not in address:
        address = f"http://{address}"
    try:
        url = httpx2.URL(address)
        if url.scheme not in _PROXY_SCHEMES or not _HOST.fullmatch(url.host):
            raise ConfigurationError(advice)
        return httpx2.Proxy(url)
    except (httpx2.InvalidURL, ValueError):
        # Without its cause, which quotes the address.
        raise ConfigurationError(advice) from None


def _is_direct(target: httpx2.URL, no_proxy: str) -> bool:
    host = target.host.lower().rstrip(".")
    address = _parse_address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    port = target.port or (443 if target.scheme == "https" else 80)
    rules = (rule.strip().lower() for rule in no_proxy.replace(" ", ",").split(","))
    return any(_matches(rule, host, address, port) for rule in rules if rule)


def _matches(
    rule: str, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, port: int
) -> bool:
    if rule == "*":
        return True
    if address is not None:
        try:
            return address in ipaddress.ip_network(rule.strip("[]"), strict=False)
        except ValueError:
            pass
    name, colon, rule_port = rule.rpartition(":")
    if colon and rule_port.isdecimal():
        if int(rule_port) != port:
            return False
        rule = name.strip("[]")
    domain = rule.removeprefix("*").removeprefix(".").rstrip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _parse_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what an error was raised for, the first cause first."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        # A host with several addresses fails with one error for each.
        parts = (
            cause.exceptions
            if isinstance(cause, BaseExceptionGroup)
            else [cause.__cause__ or cause.__context__]
        )
        cause = parts[0]
    return reversed(chain)
