"""The committed outcomes that an evaluation keeps are those behind its tables."""

import numpy as np
import pandas as pd

from brainalign.compare import evaluate
from brainalign.compare.differences import DIFFERENCES, paired_differences
from brainalign.compare.resampling import interval


def test_committed_regions_are_behind_scores_and_differences(make_recording, make_network):
    networks = [("a", make_network(0)), ("b", make_network(1))]
    evaluation = evaluate(networks, make_recording(), ["ridge", "rsa"], n_resamples=30)
    table = evaluation.scores.to_dataframe()
    table = table[table["layer"] == "committed"].set_index(["region", "metric", "network"])
    differences = evaluation.differences.set_index(["region", "metric"])
    found = {(each.region, each.metric) for each in evaluation.committed}
    assert found == set(differences.index)
    for each in evaluation.committed:
        again = paired_differences(each.entries, each.resamples)
        rows = differences.loc[[(each.region, each.metric)], list(DIFFERENCES)].reset_index(drop=True)
        pd.testing.assert_frame_equal(again, rows)
        for entry in each.entries:
            row = table.loc[(each.region, each.metric, entry.network)]
            assert row["raw"] == entry.outcome.raw
            assert row["n_stimuli"] == len(each.stimuli) == each.resamples.stimuli.shape[1]
            ends = interval(entry.outcome.raw, *each.resamples.variance(entry.outcome.replicates))
            np.testing.assert_array_equal([row["low"], row["high"]], ends)


def test_a_region_that_a_metric_does_not_allow_is_left_out(make_recording, make_network):
    evaluation = evaluate(("a", make_network()), make_recording(), ["ridge", "rsa"], n_resamples=30)
    assert {(each.region, each.metric) for each in evaluation.committed} == {
        ("V4", "ridge"),
        ("V4", "rsa"),
        ("IT", "rsa"),
    }
