"""Each nonce once, in bounded memory, by a clock that the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.errors import NonceCacheFull
from github_banners.messaging.nonces import NonceCache


class Watch:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_a_nonce_is_new_once() -> None:
    nonces = NonceCache()
    assert nonces.add("a")
    assert not nonces.add("a")
    assert nonces.add("b")
    assert len(nonces) == 2


@pytest.mark.parametrize(
    ("later", "is_new"), [(0, False), (119.9, False), (120, False), (120.1, True)]
)
def test_a_nonce_is_remembered_for_two_minutes(later: float, is_new: bool, watch: Watch) -> None:
    nonces = NonceCache(monotonic=watch)
    nonces.add("a")
    watch.seconds += later
    assert nonces.add("a") is is_new


def test_a_repeated_nonce_is_not_remembered_for_longer(watch: Watch) -> None:
    nonces = NonceCache(ttl_seconds=10, monotonic=watch)
    nonces.add("a")
    watch.seconds += 9
    assert not nonces.add("a")
    watch.seconds += 2
    assert nonces.add("a")


def test_what_is_due_makes_room(watch: Watch) -> None:
    nonces = NonceCache(max_size=2, ttl_seconds=10, monotonic=watch)
    nonces.add("a")
    watch.seconds += 6
    nonces.add("b")
    watch.seconds += 5
    assert nonces.add("c")
    assert not nonces.add("b")
    assert len(nonces) == 2


def test_a_full_memory_takes_nothing_and_forgets_nothing(watch: Watch) -> None:
    nonces = NonceCache(max_size=2, monotonic=watch)
    nonces.add("a")
    nonces.add("b")
    with pytest.raises(NonceCacheFull):
        nonces.add("c")
    assert not nonces.add("a")
    watch.seconds += 121
    assert nonces.add("c")
    assert len(nonces) == 1


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from("abcdefg")), max_size=60))
def test_it_agrees_with_a_memory_that_forgets_nothing(steps: list[tuple[float, str]]) -> None:
    watch = Watch()
    nonces = NonceCache(max_size=7, ttl_seconds=120, monotonic=watch)
    taken_at: dict[str, float] = {}
    for pause, nonce in steps:
        watch.seconds += pause
        is_new = watch.seconds - 120 > taken_at.get(nonce, 0)
        assert nonces.add(nonce) is is_new
        taken_at[nonce] = watch.seconds if is_new else taken_at[nonce]
        assert len(nonces) <= 7
