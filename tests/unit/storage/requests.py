"""Requests to store a picture."""

from github_banners.messaging.schemas import StoreRequest


def store_request(path: str, picture: bytes, *, version: int | None = None) -> StoreRequest:
    """Build a request to store a picture as SVG."""
    return StoreRequest(url_path=path, banner_info=picture, banner_format="svg", version=version)
