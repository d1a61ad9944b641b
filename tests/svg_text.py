"""Texts of a picture that only screen readers and tooltips show."""

from xml.etree import ElementTree as ET


def read_description(picture: bytes) -> str | None:
    """Return the text alternative of an SVG, which is its `<desc>`."""
    return ET.fromstring(picture).findtext("{http://www.w3.org/2000/svg}desc")
