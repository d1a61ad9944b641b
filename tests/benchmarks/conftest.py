"""
The databases of the integration tests; and silence, as only measurements are to be read here.

What the parts log costs its time all the same.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.integration.conftest import *  # noqa: F403


@pytest.fixture(autouse=True)
def _unread_logs() -> Iterator[None]:
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.PrintLoggerFactory(nowhere),
        )
        yield
    structlog.reset_defaults()
