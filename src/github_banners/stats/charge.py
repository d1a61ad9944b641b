"""What requests to GitHub cost whoever causes them."""

from typing import Protocol

_PAGE_SIZE = 100  # repositories; each hundred more is a request more


class Charge(Protocol):
    """Counts questions to GitHub against whoever causes them."""

    def __call__(self, *, debt: int = 0) -> None:
        """
        Count one that is to be asked, or so many that had to be asked besides.

        :raises TooManyRequests: none may be asked now; what is debt is never refused
        """


def charge_pages(repositories: int, charge: Charge) -> None:
    """Charge the requests that a long list has taken besides the first."""
    if more := max(0, repositories - 1) // _PAGE_SIZE:
        charge(debt=more)


def no_charge(*, debt: int = 0) -> None:
    """Charge nobody."""
