"""Read a page of HTML in tests: its elements with their attributes and texts."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"img", "input", "link", "meta"}
# Elements without an end tag, as HTML allows.
_UNCLOSED = {"option"}


@dataclass
class Element:
    """An element; `text` is that of all its descendants."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    inside: list["Element"] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.open_elements: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._close_options()
        attributes = {name: value or "" for name, value in attrs}
        element = Element(tag, attributes, inside=[*self.open_elements])
        self.elements.append(element)
        if tag not in _VOID:
            self.open_elements.append(element)

    def handle_endtag(self, tag: str) -> None:
        self._close_options()
        assert self.open_elements.pop().tag == tag

    def _close_options(self) -> None:
        if self.open_elements and self.open_elements[-1].tag in _UNCLOSED:
            self.open_elements.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open_elements:
            element.text += data


def read_elements(page: str) -> list[Element]:
    """Return all elements of a page in its order; end tags that are missing are errors."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open_elements
    return reader.elements
