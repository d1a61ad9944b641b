"""Pictures, and requests to store them."""

from github_banners.messaging.schemas import StoreRequest


def store_request(path: str, picture: bytes, *, version: int | None = None) -> StoreRequest:
    """Build a request to store a picture as SVG."""
    return StoreRequest(url_path=path, banner_info=picture, banner_format="svg", version=version)


def picture(version: int) -> bytes:
    """A picture that repeats its version from start to end, over more than one page of the disk."""
    word = b"<text>%d</text>" % version
    return b'<svg xmlns="http://www.w3.org/2000/svg">%b</svg>' % (word * 1000)
