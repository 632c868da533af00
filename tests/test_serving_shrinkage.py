"""The one shrinkage: between what was seen and the prior, and the ladder that repeats it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.models.shrinkage import Ladder, shrink, shrink_ladder

MEANS = st.floats(-1e6, 1e6)
WEIGHTS = st.floats(1e-3, 1e6)


@given(mean=MEANS, weight=WEIGHTS, prior=MEANS, prior_weight=WEIGHTS)
def test_a_shrunk_mean_lies_between_what_was_seen_and_the_prior(mean, weight, prior, prior_weight):
    found = shrink(mean * weight, weight=weight, prior=prior, prior_weight=prior_weight)
    slack = 1e-9 * max(abs(mean), abs(prior), 1.0)
    assert min(mean, prior) - slack <= found <= max(mean, prior) + slack


def test_nothing_seen_leaves_the_prior_and_much_seen_leaves_the_mean():
    total, weight = np.array([0.0, 3e12]), np.array([0.0, 1e12])
    found = shrink(total, weight=weight, prior=1.0, prior_weight=5.0)
    assert found == pytest.approx([1.0, 3.0])


def test_the_ladder_goes_from_overall_over_lead_and_queue_to_the_cell():
    seen = Ladder(
        overall=np.array(8.0),
        lead=np.array([2.0, 4.0]),
        queue=np.array([[6.0], [10.0]]),
        cell=np.array([[1.0, 2.0], [3.0, 4.0]]),
    )
    found = shrink_ladder(
        seen,
        prior=np.array(0.0),
        toward=lambda total, prior, k: shrink(total, weight=1.0, prior=prior, prior_weight=k),
        alike=lambda queue, lead, overall: queue + lead - overall,
        overall_weight=3.0,
        weight=1.0,
    )
    # Overall 8 / 4 = 2; leads 2, 3; queues 4, 6; cells to expect 4, 5 and 6, 7.
    assert found.tolist() == [[2.5, 3.5], [4.5, 5.5], [2.0, 3.0]]
