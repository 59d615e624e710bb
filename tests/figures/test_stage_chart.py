"""The chart of stages: bars where the table says, and why there are none."""

import numpy as np
import pandas as pd
import pytest

from brainalign.errors import BrainalignError
from brainalign.figures import stage_chart

ROW = {"verdict": "stages", "reason": "", "best_without": "", "stage": 1, "onset": 10.0, "onset_low": 8.0}
ROW |= {"onset_high": 13.0, "half_time": 30.0, "width": 70.0, "gain": 0.5, "quantity": "accuracy"}
NONE = (
    ROW
    | {"verdict": "no stage", "best_without": "line in steps", "stage": 0}
    | dict.fromkeys(("onset", "onset_low", "onset_high", "half_time", "width", "gain"), np.nan)
)


def test_bars_dots_and_whiskers_are_the_table():
    table = pd.DataFrame([ROW | {"layer": "a"}, ROW | {"layer": "b", "gain": -1.0}, NONE | {"layer": "c"}])
    axes = stage_chart(table).axes[0]
    lines = [line.get_xdata().tolist() for line in axes.lines]
    assert lines == [[10.0, 80.0], [30.0], [8.0, 13.0]] * 2
    assert axes.lines[0].get_color() != axes.lines[3].get_color()  # rising, falling
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in axes.texts] == ["no stage: line in steps"]


def test_curves_whose_long_names_end_alike_have_rows_of_their_own():
    ending = "x" * 80
    table = pd.DataFrame([ROW | {"layer": start + ending} for start in ("a", "b")])
    axes = stage_chart(table).axes[0]
    assert [label.get_text()[-9:] for label in axes.get_yticklabels()] == ["x" * 9] * 2
    assert {float(line.get_ydata()[0]) for line in axes.lines} == {0.0, 1.0}


def test_no_interval_no_whisker():
    axes = stage_chart(pd.DataFrame([ROW | {"onset_low": np.nan, "onset_high": np.nan}])).axes[0]
    assert len(axes.lines) == 2


def test_too_many_and_no_curves_are_refused():
    with pytest.raises(BrainalignError, match="no curve"):
        stage_chart(pd.DataFrame([]))
    with pytest.raises(BrainalignError, match="81 curves are more than the 80"):
        stage_chart(pd.DataFrame([ROW | {"layer": str(i)} for i in range(81)]))
