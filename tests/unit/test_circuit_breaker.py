"""Circuit breaker: state, probes and log lines."""

from structlog.testing import capture_logs

from github_banners.circuit_breaker import PROBE_INTERVAL_SECONDS, CircuitBreaker
from tests.fake_clock import FakeClock


def test_circuit_is_closed_at_first() -> None:
    assert not CircuitBreaker(FakeClock()).is_open


def test_circuit_open_refuses_requests_until_probe() -> None:
    clock = FakeClock()
    circuit = CircuitBreaker(clock)
    circuit.record_failure()
    assert circuit.is_open
    assert not circuit.allow_probe()
    clock.seconds += PROBE_INTERVAL_SECONDS
    assert circuit.allow_probe()
    assert circuit.is_open


def test_circuit_open_allows_one_probe_per_interval() -> None:
    clock = FakeClock()
    circuit = CircuitBreaker(clock)
    circuit.record_failure()
    clock.seconds += 5 * PROBE_INTERVAL_SECONDS
    assert [circuit.allow_probe() for _ in range(3)] == [True, False, False]
    clock.seconds += PROBE_INTERVAL_SECONDS
    assert [circuit.allow_probe() for _ in range(2)] == [True, False]


def test_circuit_failed_probe_delays_next_probe() -> None:
    clock = FakeClock()
    circuit = CircuitBreaker(clock)
    circuit.record_failure()
    clock.seconds += PROBE_INTERVAL_SECONDS
    assert circuit.allow_probe()
    clock.seconds += PROBE_INTERVAL_SECONDS / 2
    circuit.record_failure()
    clock.seconds += PROBE_INTERVAL_SECONDS * 0.75
    assert not circuit.allow_probe()


def test_circuit_failure_returns_whether_it_was_closed() -> None:
    circuit = CircuitBreaker(FakeClock())
    assert [circuit.record_failure() for _ in range(2)] == [True, False]
    circuit.close()
    assert circuit.record_failure()


def test_circuit_success_closes() -> None:
    circuit = CircuitBreaker(FakeClock())
    circuit.record_failure()
    circuit.close()
    assert not circuit.is_open


def test_circuit_with_name_logs_changes_of_state() -> None:
    circuit = CircuitBreaker(FakeClock(), name="database")
    with capture_logs() as logs:
        circuit.close()
        circuit.record_failure("connection refused")
        circuit.record_failure("timeout")
        circuit.close()
        circuit.close()
    assert logs == [
        {"event": "database.down", "reason": "connection refused", "log_level": "warning"},
        {"event": "database.up", "log_level": "info"},
    ]


def test_circuit_without_name_logs_nothing() -> None:
    circuit = CircuitBreaker(FakeClock())
    with capture_logs() as logs:
        circuit.record_failure("timeout")
        circuit.close()
    assert logs == []
