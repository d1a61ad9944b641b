"""Each nonce once, in bounded memory, by a clock that the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.errors import NoncesFull
from github_banners.messages.nonces import Nonces


class Watch:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_a_nonce_is_new_once() -> None:
    nonces = Nonces()
    assert nonces.remember("a")
    assert not nonces.remember("a")
    assert nonces.remember("b")
    assert len(nonces) == 2


@pytest.mark.parametrize(
    ("later", "is_new"), [(0, False), (119.9, False), (120, False), (120.1, True)]
)
def test_a_nonce_is_remembered_for_two_minutes(later: float, is_new: bool, watch: Watch) -> None:
    nonces = Nonces(monotonic=watch)
    nonces.remember("a")
    watch.seconds += later
    assert nonces.remember("a") is is_new


def test_a_repeated_nonce_is_not_remembered_for_longer(watch: Watch) -> None:
    nonces = Nonces(remembered_seconds=10, monotonic=watch)
    nonces.remember("a")
    watch.seconds += 9
    assert not nonces.remember("a")
    watch.seconds += 2
    assert nonces.remember("a")


def test_what_is_due_makes_room(watch: Watch) -> None:
    nonces = Nonces(most=2, remembered_seconds=10, monotonic=watch)
    nonces.remember("a")
    watch.seconds += 6
    nonces.remember("b")
    watch.seconds += 5
    assert nonces.remember("c")
    assert not nonces.remember("b")
    assert len(nonces) == 2


def test_a_full_memory_takes_nothing_and_forgets_nothing(watch: Watch) -> None:
    nonces = Nonces(most=2, monotonic=watch)
    nonces.remember("a")
    nonces.remember("b")
    with pytest.raises(NoncesFull):
        nonces.remember("c")
    assert not nonces.remember("a")
    watch.seconds += 121
    assert nonces.remember("c")
    assert len(nonces) == 1


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from("abcdefg")), max_size=60))
def test_it_agrees_with_a_memory_that_forgets_nothing(steps: list[tuple[float, str]]) -> None:
    watch = Watch()
    nonces = Nonces(most=7, remembered_seconds=120, monotonic=watch)
    taken_at: dict[str, float] = {}
    for pause, nonce in steps:
        watch.seconds += pause
        is_new = watch.seconds - 120 > taken_at.get(nonce, 0)
        assert nonces.remember(nonce) is is_new
        taken_at[nonce] = watch.seconds if is_new else taken_at[nonce]
        assert len(nonces) <= 7
