"""The schedule of failures."""

import msgspec
import pytest

from github_sandbox.faults import Failure, FaultConfig, FaultSchedule


def scheduled_failures(config: FaultConfig, requests: int) -> list[Failure | None]:
    schedule = FaultSchedule(config)
    return [schedule.next_failure() for _ in range(requests)]


def test_schedule_without_failures_fails_nothing() -> None:
    assert scheduled_failures(FaultConfig(), 5) == [None] * 5
    assert scheduled_failures(FaultConfig(fail=(Failure.DROP,), fail_rate=0), 5) == [None] * 5


def test_schedule_alternates_between_failures() -> None:
    both = (Failure.DROP, Failure.HALF)
    assert scheduled_failures(FaultConfig(fail=both), 4) == [*both, *both]


@pytest.mark.parametrize(("rate", "failed"), [(0.1, 10), (0.29, 29), (1 / 3, 33), (0.99, 99)])
def test_fail_rate_is_exact_and_evenly_spread(rate: float, failed: int) -> None:
    failures = scheduled_failures(FaultConfig(fail=(Failure.DROP,), fail_rate=rate), 100)
    assert failures.count(Failure.DROP) == failed
    assert abs(failures[:50].count(Failure.DROP) - failed / 2) <= 1


@pytest.mark.parametrize(
    "config",
    [
        *({"fail_rate": 1.1}, {"latency_seconds": -1}, {"fail": ["x"]}, {"a": 1}),
        {"heavy_contributions": {"login": "dev-1", "max_days": 9, "failure": "503"}},
        {"heavy_contributions": {"login": "dev-1"}},
    ],
)
def test_fault_config_with_invalid_values_is_rejected(config: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(config, FaultConfig)
