from github_banners.circuit_breaker import PROBE_INTERVAL_SECONDS, CircuitBreaker


class Time:
    """Monotonic seconds that move when they are told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_closed_circuit_lets_all_through() -> None:
    circuit = CircuitBreaker(Time())
    assert not circuit.is_open
    assert all(circuit.allow_request() for _ in range(3))


def test_after_a_failure_calls_are_refused_until_the_probe() -> None:
    time = Time()
    circuit = CircuitBreaker(time)
    circuit.record_failure()
    assert circuit.is_open
    assert not circuit.allow_request()
    time.seconds += PROBE_INTERVAL_SECONDS
    assert circuit.allow_request()
    assert circuit.is_open


def test_one_probe_at_a_time() -> None:
    time = Time()
    circuit = CircuitBreaker(time)
    circuit.record_failure()
    time.seconds += 5 * PROBE_INTERVAL_SECONDS
    assert [circuit.allow_request() for _ in range(3)] == [True, False, False]
    time.seconds += PROBE_INTERVAL_SECONDS
    assert [circuit.allow_request() for _ in range(2)] == [True, False]


def test_a_probe_that_fails_puts_the_next_one_off() -> None:
    time = Time()
    circuit = CircuitBreaker(time)
    circuit.record_failure()
    time.seconds += PROBE_INTERVAL_SECONDS
    assert circuit.allow_request()
    time.seconds += PROBE_INTERVAL_SECONDS / 2
    circuit.record_failure()
    time.seconds += PROBE_INTERVAL_SECONDS * 0.75
    assert not circuit.allow_request()


def test_only_the_first_failure_and_the_first_success_are_news() -> None:
    circuit = CircuitBreaker(Time())
    assert not circuit.record_success()
    assert [circuit.record_failure() for _ in range(2)] == [True, False]
    assert [circuit.record_success() for _ in range(2)] == [True, False]


def test_a_success_closes_it() -> None:
    circuit = CircuitBreaker(Time())
    circuit.record_failure()
    circuit.record_success()
    assert not circuit.is_open
    assert circuit.allow_request()
