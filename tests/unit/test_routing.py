"""Sticky weighted routing: fair, the same for the same client, and growing with the weight."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, kstest

from bentos.routing import goes_to_challenger, position

CLIENTS = [f"key:{number:012x}/user-{number}" for number in range(20_000)]
weights = st.floats(0, 1, allow_nan=False)


def test_positions_are_uniform() -> None:
    assert kstest([position(client, "a:1") for client in CLIENTS], "uniform").pvalue > 0.001


def test_share_of_clients_is_the_weight() -> None:
    for weight in (0.01, 0.1, 0.5):
        hits = sum(goes_to_challenger(each, weight=weight, salt="a:2") for each in CLIENTS)
        assert binomtest(hits, len(CLIENTS), weight).pvalue > 0.001


@given(client=st.text(), salt=st.text(max_size=40), low=weights, high=weights)
def test_a_client_stays_when_the_weight_grows(
    client: str, salt: str, low: float, high: float
) -> None:
    low, high = min(low, high), max(low, high)
    if goes_to_challenger(client, weight=low, salt=salt):
        assert goes_to_challenger(client, weight=high, salt=salt)


def test_the_ends_are_exact() -> None:
    assert not any(goes_to_challenger(each, weight=0.0, salt="s") for each in CLIENTS[:100])
    assert all(goes_to_challenger(each, weight=1.0, salt="s") for each in CLIENTS[:100])


def test_each_rollout_draws_other_clients() -> None:
    first = {each for each in CLIENTS if goes_to_challenger(each, weight=0.1, salt="a:1")}
    second = {each for each in CLIENTS if goes_to_challenger(each, weight=0.1, salt="a:2")}
    assert len(first & second) < 0.3 * len(first)
