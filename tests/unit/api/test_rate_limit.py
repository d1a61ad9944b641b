"""Client addresses behind proxies, and the rate limiter."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.api.admission import RateLimiter, client_address
from github_banners.errors import TooManyRequests
from tests.fake_clock import FakeClock

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", " 203.0.113.9 , ", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2, fd00::2", "203.0.113.9"),
        # Headers of untrusted peers are ignored.
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "10.9.9.9, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "not an address, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        # An IPv6 client is identified by its /64.
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
def test_client_address_is_last_untrusted_hop(peer: str, forwarded_for: str, client: str) -> None:
    assert client_address(peer, forwarded_for, trusted=PROXIES) == client


def test_client_address_without_trusted_proxies_is_peer() -> None:
    assert client_address("10.0.0.1", "203.0.113.9", trusted=()) == "10.0.0.1"


@given(forged=st.text(max_size=60))
def test_client_address_forged_header_is_ignored(forged: str) -> None:
    header = f"{forged}, 203.0.113.9"
    assert client_address("10.0.0.1", header, trusted=PROXIES) == "203.0.113.9"


@given(peer=st.text(max_size=60), header=st.text(max_size=60))
def test_client_address_any_text_returns_short_string(peer: str, header: str) -> None:
    assert len(client_address(peer, header, trusted=PROXIES)) <= 43


def retry_after_when_refused(limiter: RateLimiter, client: str) -> int:
    with pytest.raises(TooManyRequests) as raised:
        limiter.acquire(client)
    return raised.value.retry_after_seconds


def test_acquire_burst_of_two_seconds_per_client() -> None:
    limiter = RateLimiter(per_second=10, monotonic=FakeClock())
    for client in ("a", "b"):
        for _ in range(20):
            limiter.acquire(client)
        assert retry_after_when_refused(limiter, client) == 1


def test_acquire_bucket_refills_up_to_capacity() -> None:
    time = FakeClock()
    limiter = RateLimiter(per_second=10, monotonic=time)
    for _ in range(20):
        limiter.acquire("a")
    time.seconds += 0.101
    limiter.acquire("a")
    retry_after_when_refused(limiter, "a")
    time.seconds += 3_600
    for _ in range(20):
        limiter.acquire("a")
    retry_after_when_refused(limiter, "a")


RATES = [0.001, 0.3, 0.5, 0.7, 0.9, 1, 1.4, 3, 1000]


def pay_for_new_banner(limiter: RateLimiter) -> None:
    """Acquire the two tokens of a banner for an unknown user: the POST and the fetch."""
    limiter.acquire("a")
    limiter.acquire("a")


@pytest.mark.parametrize("per_second", RATES)
def test_acquire_full_bucket_covers_new_banner(per_second: float) -> None:
    pay_for_new_banner(RateLimiter(per_second=per_second, monotonic=FakeClock()))


@pytest.mark.parametrize("per_second", RATES)
def test_acquire_after_retry_after_succeeds(per_second: float) -> None:
    time = FakeClock()
    limiter = RateLimiter(per_second=per_second, monotonic=time)
    for _ in range(max(2, int(2 * per_second))):
        limiter.acquire("a")
    time.seconds += retry_after_when_refused(limiter, "a") + 0.001
    pay_for_new_banner(limiter)


def test_acquire_half_paid_request_succeeds_after_retry_after() -> None:
    time = FakeClock()
    limiter = RateLimiter(per_second=0.1, monotonic=time)
    pay_for_new_banner(limiter)
    time.seconds += 10.001
    limiter.acquire("a")
    time.seconds += retry_after_when_refused(limiter, "a") + 0.001
    pay_for_new_banner(limiter)


def test_acquire_refused_takes_no_token() -> None:
    time = FakeClock()
    limiter = RateLimiter(per_second=0.5, monotonic=time)
    pay_for_new_banner(limiter)
    for _ in range(100):
        assert retry_after_when_refused(limiter, "a") == 4
    time.seconds += 2
    limiter.acquire("a")


def test_acquire_debt_delays_next_request() -> None:
    time = FakeClock()
    limiter = RateLimiter(per_second=10, monotonic=time)
    limiter.acquire("a")
    limiter.acquire("a", debt=23)
    assert retry_after_when_refused(limiter, "a") == 1
    limiter.acquire("b")
    time.seconds += 0.7
    limiter.acquire("a")


@pytest.mark.parametrize("per_second", RATES)
def test_acquire_debt_is_bounded(per_second: float) -> None:
    time = FakeClock()
    limiter = RateLimiter(per_second=per_second, monotonic=time)
    for _ in range(100):
        limiter.acquire("a", debt=1_000_000)
    assert retry_after_when_refused(limiter, "a") <= 61 + 2 / per_second
    time.seconds += retry_after_when_refused(limiter, "a") + 0.001
    pay_for_new_banner(limiter)


def test_acquire_many_clients_memory_is_bounded() -> None:
    """The client that has sent no request for longest is forgotten, with its empty bucket."""
    limiter = RateLimiter(per_second=1, monotonic=FakeClock())
    limiter.acquire("first", debt=1_000)
    retry_after_when_refused(limiter, "first")
    for number in range(40_000):
        limiter.acquire(str(number))
    limiter.acquire("first")
