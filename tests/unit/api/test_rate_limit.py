"""Who asks, and how often."""

from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from github_banners.api.rate_limit import RateLimiter, client_address
from github_banners.errors import TooManyRequests

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", " 203.0.113.9 , ", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2, fd00::2", "203.0.113.9"),
        # Whoever is no proxy of ours can write anything.
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "10.9.9.9, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "not an address, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        # A household has a /64 of its own.
        ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        ("10.0.0.1", "2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "", "fe80::/64"),
        ("::ffff:203.0.113.9", "", "203.0.113.9"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4:4711", "1.2.3.4"),
        ("10.0.0.1", "198.51.100.1:1, 1.2.3.4:4711, 10.0.0.2:80", "1.2.3.4"),
        ("10.0.0.1", "[2001:db8::1]:443", "2001:db8::/64"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::/64"),
        ("10.0.0.1", '"[2001:db8::1]:443"', "2001:db8::/64"),
        ("10.0.0.1", '"[::1]"', "::/64"),
        ("10.0.0.1", '"1.2.3.4:4711"', "1.2.3.4"),
        ("10.0.0.1", "[::ffff:1.2.3.4]:4711", "1.2.3.4"),
        ("10.0.0.1", "1.2.3.4:", "1.2.3.4"),
        ("10.0.0.1", "1.2.3.4, [fd00::2]:443, [::ffff:10.1.1.1]:9", "1.2.3.4"),
        ("10.0.0.1", "[", "unknown"),
        ("10.0.0.1", ":4711", "unknown"),
        ("10.0.0.1", '""', "unknown"),
        ("10.0.0.1", "garbage", "unknown"),
        ("10.0.0.1", "203.0.113.9, 999.1.1.1", "unknown"),
        ("", "203.0.113.9", "unknown"),
        ("unix:", "", "unknown"),
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours_counts(
    peer: str, forwarded_for: str, client: str
) -> None:
    assert client_address(peer, forwarded_for, trusted=PROXIES) == client


def test_nobody_is_trusted_by_default() -> None:
    assert client_address("10.0.0.1", "203.0.113.9", trusted=()) == "10.0.0.1"


@settings(deadline=None)
@given(forged=st.text(max_size=60))
def test_what_a_client_writes_never_counts(forged: str) -> None:
    header = f"{forged}, 203.0.113.9"
    assert client_address("10.0.0.1", header, trusted=PROXIES) == "203.0.113.9"


@settings(deadline=None)
@given(peer=st.text(max_size=60), header=st.text(max_size=60))
def test_any_text_is_some_client(peer: str, header: str) -> None:
    assert len(client_address(peer, header, trusted=PROXIES)) <= 43


class Time:
    """Monotonic seconds that move when they are told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def refused_for(shares: RateLimiter, client: str) -> int:
    with pytest.raises(TooManyRequests) as refused:
        shares.acquire(client)
    return refused.value.retry_after_seconds


def test_two_seconds_worth_may_come_at_once_and_each_client_has_its_own() -> None:
    shares = RateLimiter(per_second=10, monotonic=Time())
    for client in ("a", "b"):
        for _ in range(20):
            shares.acquire(client)
        assert refused_for(shares, client) == 1


def test_a_share_fills_up_again_but_not_over() -> None:
    time = Time()
    shares = RateLimiter(per_second=10, monotonic=time)
    for _ in range(20):
        shares.acquire("a")
    time.seconds += 0.101
    shares.acquire("a")
    refused_for(shares, "a")
    time.seconds += 3_600
    for _ in range(20):
        shares.acquire("a")
    refused_for(shares, "a")


RATES = [0.001, 0.3, 0.5, 0.7, 0.9, 1, 1.4, 3, 1000]


def make_banner(shares: RateLimiter) -> None:
    """Pay what a banner of somebody new costs: the wish, and the question to GitHub."""
    shares.acquire("a")
    shares.acquire("a")


@pytest.mark.parametrize("per_second", RATES)
def test_a_banner_of_somebody_new_can_always_be_made(per_second: float) -> None:
    make_banner(RateLimiter(per_second=per_second, monotonic=Time()))


@pytest.mark.parametrize("per_second", RATES)
def test_who_comes_back_when_told_is_let_in(per_second: float) -> None:
    time = Time()
    shares = RateLimiter(per_second=per_second, monotonic=time)
    for _ in range(max(2, int(2 * per_second))):
        shares.acquire("a")
    time.seconds += refused_for(shares, "a") + 0.001
    make_banner(shares)


def test_who_could_pay_half_of_a_wish_can_pay_all_of_it_when_told() -> None:
    time = Time()
    shares = RateLimiter(per_second=0.1, monotonic=time)
    make_banner(shares)
    time.seconds += 10.001
    shares.acquire("a")
    time.seconds += refused_for(shares, "a") + 0.001
    make_banner(shares)


def test_a_refusal_costs_nothing() -> None:
    time = Time()
    shares = RateLimiter(per_second=0.5, monotonic=time)
    make_banner(shares)
    for _ in range(100):
        assert refused_for(shares, "a") == 4
    time.seconds += 2
    shares.acquire("a")


def test_what_is_owed_is_paid_before_anything_else() -> None:
    time = Time()
    shares = RateLimiter(per_second=10, monotonic=time)
    shares.acquire("a")
    shares.acquire("a", debt=23)
    assert refused_for(shares, "a") == 1
    shares.acquire("b")
    time.seconds += 0.7
    shares.acquire("a")


@pytest.mark.parametrize("per_second", RATES)
def test_debts_end_within_a_minute_or_two(per_second: float) -> None:
    time = Time()
    shares = RateLimiter(per_second=per_second, monotonic=time)
    for _ in range(100):
        shares.acquire("a", debt=1_000_000)
    assert refused_for(shares, "a") <= 61 + 2 / per_second
    time.seconds += refused_for(shares, "a") + 0.001
    make_banner(shares)


def test_many_clients_take_bounded_memory() -> None:
    shares = RateLimiter(per_second=1, monotonic=Time())
    for number in range(40_000):
        shares.acquire(str(number))
    assert len(shares._buckets) < 40_000
    assert shares._buckets.used_bytes <= 8 << 20
