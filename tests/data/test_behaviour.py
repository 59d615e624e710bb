"""Tables of behaviour: what one must say."""

import numpy as np
import pandas as pd
import pytest

from brainalign.data import check_behaviour
from brainalign.errors import ResponsesError

TABLE = pd.DataFrame(
    {"subject": ["a", "a", "b"], "trial": [1, 2, 1], "correct": [0.0, np.nan, 0.5], "n_trials": [1, 0, 4]}
)


def test_a_table_comes_back_as_it_is():
    before = TABLE.copy()
    assert check_behaviour(TABLE) is TABLE
    pd.testing.assert_frame_equal(TABLE, before)


def test_missing_values_are_allowed_in_integers_too():
    whole = TABLE.assign(correct=pd.array([0, None, 1], dtype="Int32"))
    assert check_behaviour(whole) is whole


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE[:0], "has 0 rows .* expected a row a trial"),
        (TABLE.set_axis(["subject", "trial", "trial", "correct"], axis=1), "name of its own for each column"),
        (TABLE.drop(columns="subject"), "whose each trial is; name it in 'subject'"),
        (TABLE.assign(subject=["a", None, "b"]), "whose each trial is"),
        (TABLE.assign(angle=[0.0, np.inf, 1.0]), "'angle' of behaviour is infinite"),
        (TABLE.assign(correct=[0.0, 1.0, 1.5]), "'correct' of behaviour leaves"),
        (TABLE.assign(correct=[0.0, 1.0, -0.1]), "'correct' of behaviour leaves"),
        (
            TABLE.assign(correct=["right", "right", "wrong"]),
            "'correct' of behaviour holds .*; expected numbers",
        ),
        (TABLE.assign(n_trials=[1, 1, -1]), "'n_trials' of behaviour is missing or negative"),
        (TABLE.assign(n_trials=[1, 1, np.nan]), "'n_trials' of behaviour is missing or negative"),
        (TABLE.assign(n_trials=pd.array([1, None, 1], dtype="Int32")), "'n_trials' of behaviour is missing"),
    ],
)
def test_wrong_table(table, message):
    with pytest.raises(ResponsesError, match=message):
        check_behaviour(table)
