"""
HTTP client for GitHub: proxy, certificates, targets of redirects, causes of connection errors.

`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` and `SSL_CERT_FILE` are read here only: our own
services and the database are always reached directly. A client with `trust_env=True` would read them as
well, but also netrc, whose passwords would replace our tokens.
"""

import ipaddress
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx2

from github_banners.errors import ConfigurationError
from github_banners.github.protocol import GitHubRequest, GitHubResponse, shorten
from github_banners.http_client import (
    HttpTransport,
    WrapTransport,
    build_client,
    unwrapped,
)

_CONNECT_TIMEOUT_SECONDS = 2.0
_HOST = re.compile(r"[\w.:-]+")
# The statuses that keep the method.
_REDIRECT_STATUSES = {301, 302, 307, 308}
_PROXY_SCHEMES = {"http", "https"}


@asynccontextmanager
async def open_github_http(
    *,
    timeout: timedelta,  # noqa: ASYNC109 - a limit for each read and write
    api_url: str,
    environment: Mapping[str, str] = os.environ,
    wrap_transport: WrapTransport = unwrapped,
) -> AsyncIterator[httpx2.AsyncClient]:
    """
    Open the HTTP client for all requests to `api_url`; `timeout` limits each single read and write.

    :raises ConfigurationError: the proxy or the certificates of the environment can't be used
    """
    limits = httpx2.Limits(max_connections=100, max_keepalive_connections=20)
    proxy = proxy_from_environment(api_url, environment)
    is_tls = api_url.startswith("https:") or (proxy is not None and proxy.url.scheme == "https")
    verify = _create_tls_context(environment) if is_tls else _NO_TLS
    transport = (
        HttpTransport(verify=verify, trust_env=False, limits=limits)
        if proxy is None
        else _ProxyTransport(proxy, verify=verify, limits=limits)
    )
    async with build_client(
        wrap_transport(transport), timeout=timeout, connect_timeout_seconds=_CONNECT_TIMEOUT_SECONDS
    ) as http:
        yield http


def proxy_from_environment(url: str, environment: Mapping[str, str]) -> httpx2.Proxy | None:
    """
    Return the proxy for a URL, by the rules of Go's `ProxyFromEnvironment` and `ALL_PROXY`.

    Loopback addresses are always reached directly. Lower-case variables win, as in curl.
    https://pkg.go.dev/golang.org/x/net/http/httpproxy

    :raises ConfigurationError: the proxy's URL is invalid; the message does not quote it, since it may
        contain a password
    """
    target = httpx2.URL(url)
    if _is_direct(target, _read_variable(environment, "NO_PROXY")[1]):
        return None
    for variable in (f"{target.scheme.upper()}_PROXY", "ALL_PROXY"):
        name, address = _read_variable(environment, variable)
        if address:
            return _parse_proxy(name, address)
    return None


def redirect_target(request: GitHubRequest, response: GitHubResponse) -> str | None:
    """
    Return the target of a redirect; None if the response is none, or must not be followed.

    It is followed for GET, and within the same origin: no other one may receive the token.
    https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
    """
    is_redirect = response.status in _REDIRECT_STATUSES and "location" in response.headers
    if request.method != "GET" or not is_redirect:
        return None
    source = httpx2.URL(request.url)
    try:
        # Parsed by the library that sends it, so that both agree on the host.
        target = source.join(response.headers["location"])
        is_same_origin = (target.scheme, target.host, target.port) == (
            source.scheme,
            source.host,
            source.port,
        )
    # ValueError: brackets without an IPv6 address, or a host name that IDNA can't decode.
    except (httpx2.InvalidURL, ValueError):
        return None
    return str(target) if is_same_origin and not target.userinfo else None


def describe_error(error: BaseException, *, host: str = "") -> str:
    """Describe the cause of a failed request: DNS, refused, certificate, proxy, time-out."""
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
        case OSError(strerror=str(message)):
            reason = shorten(message)
    return reason


class _ProxyTransport(HttpTransport):
    """HTTP transport through a proxy; reports an unreachable proxy as `ProxyError`."""

    def __init__(self, proxy: httpx2.Proxy, *, verify: ssl.SSLContext, limits: httpx2.Limits):
        if proxy.url.scheme == "https":
            proxy.ssl_context = verify
        super().__init__(proxy=proxy, verify=verify, trust_env=False, limits=limits)
        self._proxy_address = proxy.url.netloc.decode()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request through the proxy."""
        try:
            return await super().handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            # Only the TLS handshake within the tunnel is with GitHub itself.
            if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)):
                raise
            reason = describe_error(error, host=self._proxy_address)
            raise httpx2.ProxyError(f"{self._proxy_address}: {reason}") from error


# Without TLS no certificates are needed; loading them takes time.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _create_tls_context(environment: Mapping[str, str]) -> ssl.SSLContext:
    """Create a context that trusts the system's certificates and those of the environment."""
    context = httpx2.create_ssl_context(trust_env=False)
    named = {name: _clean(environment.get(name, "")) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    if not any(named.values()):
        return context
    try:
        context.load_verify_locations(named["SSL_CERT_FILE"] or None, named["SSL_CERT_DIR"] or None)
    except OSError as error:
        names = " or ".join(name for name, value in named.items() if value)
        is_tls_error = isinstance(error, ssl.SSLError)
        reason = "no certificates in PEM format" if is_tls_error else error.strerror
        raise ConfigurationError(f"{names} can't be used: {reason}.") from error
    return context


def _read_variable(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    for spelling in (name.lower(), name):
        if value := _clean(environment.get(spelling, "")):
            return spelling, value
    return name, ""


def _clean(value: str) -> str:
    """Remove blanks and quotes, which `docker run --env-file` keeps."""
    return value.strip().strip("'\"")


def _parse_proxy(name: str, address: str) -> httpx2.Proxy:
    advice = (
        f"{name} can't be used: give it as http://host:port or https://host:port, and in a user name or "
        "password replace / by %2F, ? by %3F and # by %23."
    )
    if "://" not in address:
        address = f"http://{address}"
    try:
        url = httpx2.URL(address)
        # Such a part can be the end of a password, whose start would be the host and port.
        has_more = url.path not in {"", "/"} or url.query or url.fragment
        if url.scheme not in _PROXY_SCHEMES or not _HOST.fullmatch(url.host) or has_more:
            raise ConfigurationError(advice)
        return httpx2.Proxy(url)
    except (httpx2.InvalidURL, ValueError):
        # `from None`: the cause quotes the address.
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
    """Return the chain of causes of an error, the root cause first."""
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
