"""Changes of scores over training, against a paired t-interval."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from brainalign.compare.scores import make_scores
from brainalign.trajectory.score_changes import score_changes

VALUES = ("low", "high", "spread", "score", "ceiling", "ceiling_lower", "participation_ratio")
ABSENT = dict.fromkeys(VALUES, np.nan) | dict.fromkeys(
    ("n_stimuli", "n_units", "n_units_masked", "layer_units"), 0
)
ABSENT |= {"resampled": "", "note": ""}


def test_paired_changes_have_the_t_interval():
    before, after = np.random.default_rng(0).normal(size=(2, 6))
    rows = [
        ABSENT | {"region": "V4", "rule": "backprop", "seed": seed, "checkpoint": step, "raw": raw}
        for step, values in ((0, before), (5, before + 9), (10, after))
        for seed, raw in enumerate(values)
    ]
    rows.append(ABSENT | {"region": "V4", "network": "pixels", "raw": 1.0})
    found = score_changes(make_scores(rows, {})).reset_index()
    oracle = ttest_1samp(after - before, 0).confidence_interval()
    assert len(found) == 1 and found["n_seeds"][0] == 6
    assert found["change"][0] == pytest.approx((after - before).mean())
    assert found["half_width"][0] == pytest.approx((oracle.high - oracle.low) / 2)
