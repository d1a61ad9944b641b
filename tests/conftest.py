"""What every run says first."""

import shutil

from hypothesis import settings

from tests.integration.kafka_server import KAFKA_LOCAL

# No test depends on how long anything takes.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")


def pytest_report_header() -> str:
    """Tell which Kafka the tests of `messages` will meet."""
    is_real = KAFKA_LOCAL.is_file() and shutil.which("java") is not None
    return "kafka: Apache Kafka" if is_real else "kafka: librdkafka's mock, for what it can do"
