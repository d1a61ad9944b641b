"""What every run says first."""

import shutil

from tests.integration.kafka_server import KAFKA_LOCAL


def pytest_report_header() -> str:
    """Tell which Kafka the tests of `messages` will meet."""
    is_real = KAFKA_LOCAL.is_file() and shutil.which("java") is not None
    return "kafka: Apache Kafka" if is_real else "kafka: librdkafka's mock, for what it can do"
