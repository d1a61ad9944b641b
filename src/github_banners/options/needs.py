"""Which data of GitHub a banner shows: nothing else is fetched for it."""

from enum import StrEnum

from github_banners.options.schema import (
    BannerOptions,
    CountBy,
    HideableField,
    Layout,
    ShownNumber,
)


class DataKind(StrEnum):
    """
    A kind of data; each has an age, a refresh time and a version of its own.

    The values are stored in PostgreSQL. Followers arrive with the repositories, but only the banners
    that show them change when they do.
    """

    __hash__ = str.__hash__  # the hash of an enum is several times slower

    REPOSITORIES = "repositories"
    FOLLOWERS = "followers"
    LANGUAGE_SIZES = "language_sizes"
    CONTRIBUTIONS = "contributions"
    REPOSITORY = "repository"


CONTRIBUTION_NUMBERS = frozenset(
    {
        ShownNumber.COMMITS,
        ShownNumber.PULL_REQUESTS,
        ShownNumber.ISSUES,
        ShownNumber.REVIEWS,
        ShownNumber.CONTRIBUTIONS,
    }
)
"""The numbers of the option `show` that need contributions, and so a token."""

_LAYOUTS_WITH_NUMBERS = {Layout.CLASSIC, Layout.CARD, Layout.COMPACT}


def data_needs(options: BannerOptions) -> frozenset[DataKind]:
    """Return the kinds of data that a banner shows."""
    if options.layout is Layout.ACTIVITY:
        return frozenset({DataKind.CONTRIBUTIONS})
    if options.layout is Layout.REPOSITORY:
        return frozenset({DataKind.REPOSITORY})
    needs = {DataKind.REPOSITORIES}
    if options.count_by is CountBy.BYTES and HideableField.LANGUAGES not in options.hide:
        needs.add(DataKind.LANGUAGE_SIZES)
    if options.layout in _LAYOUTS_WITH_NUMBERS:
        if not CONTRIBUTION_NUMBERS.isdisjoint(options.show):
            needs.add(DataKind.CONTRIBUTIONS)
        if ShownNumber.FOLLOWERS in options.show:
            needs.add(DataKind.FOLLOWERS)
    return frozenset(needs)


def banner_needs(options: BannerOptions, *, repository_id: int | None = None) -> tuple[str, ...]:
    """
    Return the needs of a permanent banner as they are stored: kinds, sorted.

    The need of one repository has its id, since the repository can be renamed.
    """
    kinds = data_needs(options)
    return tuple(
        sorted(
            repository_need(repository_id)
            if kind is DataKind.REPOSITORY and repository_id is not None
            else kind.value
            for kind in kinds
        )
    )


def repository_need(repository_id: int) -> str:
    """Return the need of a banner that shows one repository: `repository/123`."""
    return f"{DataKind.REPOSITORY}/{repository_id}"


def parse_need(need: str) -> tuple[DataKind, int | None]:
    """
    Return the kind of a stored need, and the repository's id if it has one.

    :raises ValueError: a newer release has stored it
    """
    kind, _, repository_id = need.partition("/")
    return DataKind(kind), int(repository_id) if repository_id else None
