"""A client like GitHub's image proxy (camo), which shows a broken image after 4 seconds."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from xml.etree import ElementTree as ET

import httpx2

LIMIT_SECONDS = 4.0
_ACCEPT = "image/*"
_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True, slots=True)
class ProxyResponse:
    """A response as the proxy sees it; `status` is 0 if none came in time."""

    url: str
    status: int
    media_type: str
    body: bytes
    seconds: float

    @property
    def is_picture(self) -> bool:
        """Return whether a README shows a picture."""
        is_svg = self.media_type.partition(";")[0] == "image/svg+xml"
        return self.status == 200 and is_svg and self._root is not None

    @property
    def description(self) -> str:
        """Return the text of the SVG's `<desc>`."""
        return "" if self._root is None else self._root.findtext(f"{_SVG}desc") or ""

    @property
    def shows_numbers(self) -> bool:
        """Return whether the picture is a banner and not an explanation."""
        return self.is_picture and " star" in self.description

    @property
    def is_dated(self) -> bool:
        """Return whether the picture says how old its numbers are."""
        return "As of " in self.description

    @property
    def _root(self) -> ET.Element | None:
        try:
            root = ET.fromstring(self.body)
        except ET.ParseError:
            return None
        return root if root.tag == f"{_SVG}svg" else None

    def __str__(self) -> str:
        content = self.description if self.is_picture else self.body[:80]
        return f"{self.url}: {self.status} in {self.seconds:.2f} s, {self.media_type}: {content!r}"


class ImageProxy:
    """Fetches pictures in parallel, each on its own connection."""

    def __init__(self, *, parallel: int = 32) -> None:
        limits = httpx2.Limits(max_keepalive_connections=0)
        self._http = httpx2.Client(timeout=LIMIT_SECONDS, limits=limits, trust_env=False)
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="camo")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()
        self._http.close()

    def fetch(self, url: str) -> ProxyResponse:
        started = time.monotonic()
        try:
            response = self._http.get(url, headers={"accept": _ACCEPT})
            status, body = response.status_code, response.content
            media_type = response.headers.get("content-type", "")
        except httpx2.HTTPError as error:
            status, body, media_type = 0, b"", type(error).__name__
        return ProxyResponse(url, status, media_type, body, time.monotonic() - started)

    def fetch_all(self, urls: Iterable[str]) -> Sequence[ProxyResponse]:
        """Fetch pictures in parallel; return the responses in the order of the URLs."""
        return list(self._pool.map(self.fetch, urls))
