"""The closed sets of values that settings have, and what each service needs."""

from collections.abc import Mapping
from enum import StrEnum


class LogLevel(StrEnum):
    """Minimum level of logged messages."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """Format of log lines."""

    JSON = "json"
    TEXT = "text"


class ServiceName(StrEnum):
    """Processes that can be started; each requires other settings."""

    ALL_IN_ONE = "serve"
    API = "api"
    RENDERER = "renderer"
    STORAGE = "storage"
    MIGRATE = "migrate"


PORTS: Mapping[ServiceName, int] = {ServiceName.RENDERER: 8081, ServiceName.STORAGE: 8082}
"""Default ports of services that differ from the default in `Settings`."""

REQUIRED: Mapping[ServiceName, tuple[str, ...]] = {
    ServiceName.API: ("DB_HOST", "KAFKA_BROKERS_ADDRS", "RENDERER_BASE_URL", "STORAGE_BASE_URL"),
    ServiceName.RENDERER: ("KAFKA_BROKERS_ADDRS", "STORAGE_BASE_URL"),
}
"""Variables that a service can't start without."""
