"""Intervals and paired comparisons: known values, and how often they hold the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_policy.evaluation.statistics import (
    compare_pairs,
    mcnemar_p,
    mean_interval,
    wilson_interval,
)

outcomes = st.lists(st.booleans(), min_size=3, max_size=3)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    # Twice the tail of a fair coin, by hand: 2 * 1/2^5; 2 * (1 + 10 + 45) / 2^10.
    [(0, 5, 0.0625), (5, 0, 0.0625), (2, 8, 112 / 1024), (3, 3, 1.0), (0, 0, 1.0)],
)
def test_mcnemars_exact_test_gives_the_probabilities_of_a_fair_coin(
    only_first: int, only_second: int, p: float
) -> None:
    assert mcnemar_p(only_first, only_second) == pytest.approx(p)


def test_mcnemars_test_bears_counts_beyond_floating_point() -> None:
    assert 0.0 < mcnemar_p(900, 1100) < 1e-4
    assert mcnemar_p(1500, 1500) == 1.0


def test_pairs_are_counted_and_the_sign_says_that_the_second_is_better() -> None:
    first = [[True, False, False, True, False]]
    second = [[True, True, True, False, False]]
    found = compare_pairs(first, second)
    assert (found.both, found.only_first, found.only_second, found.neither) == (1, 1, 2, 1)
    assert found.difference == pytest.approx(0.2)
    assert found.interval_95[0] < 0.2 < found.interval_95[1]


@given(st.lists(outcomes, min_size=1, max_size=4), st.data())
def test_a_comparison_turned_round_is_mirrored(
    first: list[list[bool]], data: st.DataObject
) -> None:
    second = [data.draw(outcomes) for _ in first]
    there, back = compare_pairs(first, second), compare_pairs(second, first)
    assert there.difference == pytest.approx(-back.difference)
    assert there.interval_95 == pytest.approx((-back.interval_95[1], -back.interval_95[0]))
    assert there.mcnemar_p == back.mcnemar_p


def test_pairing_makes_the_interval_shorter_than_that_of_independent_policies() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(200) < 0.5
    first, second = hard, hard ^ (rng.random(200) < 0.05)
    found = compare_pairs([first], [second])
    separate = np.sqrt(2 * 0.25 / 200) * 2 * 1.96
    assert found.interval_95[1] - found.interval_95[0] < 0.5 * separate


def test_policies_that_never_differ_are_not_claimed_to_be_equal() -> None:
    found = compare_pairs([[True] * 10], [[True] * 10])
    most = wilson_interval(0, 10)[1]
    assert found.interval_95 == (-most, most)
    assert found.mcnemar_p == 1.0


def test_tables_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2\), \(1, 3\)"):
        compare_pairs([[True, True]], [[True, True, False]])


def test_intervals_are_the_same_every_time() -> None:
    tasks = [[True, False, True, True], [False, True, True, False]]
    assert mean_interval(tasks) == mean_interval(tasks)
    assert compare_pairs(tasks, tasks[::-1]) == compare_pairs(tasks, tasks[::-1])


def test_without_mixed_outcomes_the_mean_has_wilsons_interval() -> None:
    assert mean_interval([[True] * 10, [True] * 10]) == wilson_interval(20, 20)
    assert mean_interval([[True] * 10, [False] * 10]) == wilson_interval(10, 20)


def test_the_interval_of_a_mean_is_narrower_when_tasks_are_unequal() -> None:
    """Tasks are not drawn, only episodes within them: what tasks differ by is no noise."""
    unequal = mean_interval([[True] * 19 + [False], [False] * 19 + [True]])
    alike = mean_interval([[True] * 10 + [False] * 10] * 2)
    assert unequal[1] - unequal[0] < 0.6 * (alike[1] - alike[0])


def coverage(hits: list[bool]) -> float:
    return float(np.mean(hits))


def test_the_interval_of_a_mean_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    rates = np.array([0.5, 0.7, 0.8, 0.9])
    hits = []
    for _ in range(400):
        low, high = mean_interval([list(rng.random(20) < rate) for rate in rates])
        hits.append(low <= rates.mean() <= high)
    # Of 400 at 95 %, three standard deviations are 3.3 %; a bootstrap of 20 is a little short.
    assert 0.90 <= coverage(hits) <= 0.985


def test_the_interval_of_a_difference_holds_the_truth_as_often_as_it_says() -> None:
    """Also where outcomes of a state go together, within and between policies."""
    rng = np.random.default_rng(4)
    hits = []
    for _ in range(200):
        ease = rng.random(50)
        noise = rng.random((2, 3, 50))
        # The mean over states of both rates is known: E[0.2 + 0.5 ease] and E[0.4 + 0.5 ease].
        first, second = noise[0] < 0.2 + 0.5 * ease, noise[1] < 0.4 + 0.5 * ease
        low, high = compare_pairs(first, second).interval_95
        hits.append(low <= 0.2 <= high)
    assert 0.90 <= coverage(hits) <= 0.99
