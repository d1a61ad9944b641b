"""Which requests fail."""

import msgspec
import pytest

from github_sandbox.faults import Failure, Faults, Schedule


def decided(faults: Faults, requests: int) -> list[Failure | None]:
    schedule = Schedule(faults)
    return [schedule.next_failure() for _ in range(requests)]


def test_nothing_fails_unasked() -> None:
    assert decided(Faults(), 5) == [None] * 5
    assert decided(Faults(fail=(Failure.DROP,), share=0), 5) == [None] * 5


def test_all_fail_in_turn() -> None:
    both = (Failure.DROP, Failure.HALF)
    assert decided(Faults(fail=both), 4) == [*both, *both]


@pytest.mark.parametrize(("share", "failed"), [(0.1, 10), (0.29, 29), (1 / 3, 33), (0.99, 99)])
def test_a_share_is_exact_and_even(share: float, failed: int) -> None:
    answers = decided(Faults(fail=(Failure.DROP,), share=share), 100)
    assert answers.count(Failure.DROP) == failed
    assert abs(answers[:50].count(Failure.DROP) - failed / 2) <= 1


@pytest.mark.parametrize(
    "wish", [{"share": 1.1}, {"latency_seconds": -1}, {"fail": ["x"]}, {"a": 1}]
)
def test_impossible_faults_are_refused(wish: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wish, Faults)
