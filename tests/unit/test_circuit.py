from github_banners.circuit import PROBE_EVERY_SECONDS, Circuit


class Time:
    """Monotonic seconds that move when they are told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_closed_circuit_lets_all_through() -> None:
    circuit = Circuit(Time())
    assert not circuit.is_open
    assert all(circuit.admit() for _ in range(3))


def test_after_a_failure_calls_are_refused_until_the_probe() -> None:
    time = Time()
    circuit = Circuit(time)
    circuit.fail()
    assert circuit.is_open
    assert not circuit.admit()
    time.seconds += PROBE_EVERY_SECONDS
    assert circuit.admit()
    assert circuit.is_open


def test_one_probe_at_a_time() -> None:
    time = Time()
    circuit = Circuit(time)
    circuit.fail()
    time.seconds += 5 * PROBE_EVERY_SECONDS
    assert [circuit.admit() for _ in range(3)] == [True, False, False]
    time.seconds += PROBE_EVERY_SECONDS
    assert [circuit.admit() for _ in range(2)] == [True, False]


def test_a_probe_that_fails_puts_the_next_one_off() -> None:
    time = Time()
    circuit = Circuit(time)
    circuit.fail()
    time.seconds += PROBE_EVERY_SECONDS
    assert circuit.admit()
    time.seconds += PROBE_EVERY_SECONDS / 2
    circuit.fail()
    time.seconds += PROBE_EVERY_SECONDS * 0.75
    assert not circuit.admit()


def test_only_the_first_failure_and_the_first_success_are_news() -> None:
    circuit = Circuit(Time())
    assert not circuit.succeed()
    assert [circuit.fail() for _ in range(2)] == [True, False]
    assert [circuit.succeed() for _ in range(2)] == [True, False]


def test_a_success_closes_it() -> None:
    circuit = Circuit(Time())
    circuit.fail()
    circuit.succeed()
    assert not circuit.is_open
    assert circuit.admit()
