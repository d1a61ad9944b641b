"""The nonce cache: each nonce once, in bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.errors import NonceCacheFull
from github_banners.messaging.nonces import NonceCache
from tests.fake_clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_add_repeated_nonce_is_false() -> None:
    nonces = NonceCache()
    assert nonces.add("a")
    assert not nonces.add("a")
    assert nonces.add("b")
    assert len(nonces) == 2


@pytest.mark.parametrize(
    ("later", "is_new"), [(0, False), (119.9, False), (120, False), (120.1, True)]
)
def test_add_repeated_nonce_after_the_ttl_is_true(
    later: float, is_new: bool, clock: FakeClock
) -> None:
    nonces = NonceCache(monotonic=clock)
    nonces.add("a")
    clock.seconds += later
    assert nonces.add("a") is is_new


def test_add_repeated_nonce_does_not_extend_the_ttl(clock: FakeClock) -> None:
    nonces = NonceCache(ttl_seconds=10, monotonic=clock)
    nonces.add("a")
    clock.seconds += 9
    assert not nonces.add("a")
    clock.seconds += 2
    assert nonces.add("a")


def test_add_expired_nonces_make_room(clock: FakeClock) -> None:
    nonces = NonceCache(max_size=2, ttl_seconds=10, monotonic=clock)
    nonces.add("a")
    clock.seconds += 6
    nonces.add("b")
    clock.seconds += 5
    assert nonces.add("c")
    assert not nonces.add("b")
    assert len(nonces) == 2


def test_add_full_cache_is_refused_and_keeps_all(clock: FakeClock) -> None:
    nonces = NonceCache(max_size=2, monotonic=clock)
    nonces.add("a")
    nonces.add("b")
    with pytest.raises(NonceCacheFull):
        nonces.add("c")
    assert not nonces.add("a")
    clock.seconds += 121
    assert nonces.add("c")
    assert len(nonces) == 1


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from("abcdefg")), max_size=60))
def test_add_any_steps_agree_with_an_unbounded_cache(steps: list[tuple[float, str]]) -> None:
    clock = FakeClock()
    nonces = NonceCache(max_size=7, ttl_seconds=120, monotonic=clock)
    added_at: dict[str, float] = {}
    for pause, nonce in steps:
        clock.seconds += pause
        is_new = clock.seconds - 120 > added_at.get(nonce, 0)
        assert nonces.add(nonce) is is_new
        added_at[nonce] = clock.seconds if is_new else added_at[nonce]
        assert len(nonces) <= 7
