import numpy as np
import pandas as pd
import pytest

from brainalign.errors import BrainalignError
from brainalign.figures.matched_rules import matched_rules


def table(rules=("backprop", "pepita"), panels=("V4", "IT")) -> pd.DataFrame:
    rows = [
        {
            "panel": panel,
            "by": by,
            "place": place,
            "rule": rule,
            "mean": k + place,
            "low": k,
            "high": k + 2 * place,
        }
        for k, rule in enumerate(rules)
        for panel in panels
        for by, places in (("step", (0, 1, 10, 100)), ("performance", (0.2, 0.3)))
        for place in places
    ]
    return pd.DataFrame(rows)


def test_a_column_a_region_and_a_row_a_kind_of_match():
    figure = matched_rules(table(), "r")
    assert [axes.get_title() for axes in figure.axes] == ["V4", "IT", "", ""]
    assert [axes.get_xlabel() for axes in figure.axes] == ["Training step"] * 2 + ["Accuracy"] * 2
    assert figure.axes[0].get_ylabel() == "r"


def test_lines_hold_the_means_and_bands_the_intervals():
    axes = matched_rules(table(), "r").axes[2]
    assert axes.lines[1].get_ydata().tolist() == [1.2, 1.3]
    band = axes.collections[1].get_paths()[0].vertices[:, 1]
    assert band.min() == 1 and band.max() == pytest.approx(1.6)


def test_a_rule_that_does_not_reach_a_level_ends_there():
    points = table()
    points.loc[(points["rule"] == "pepita") & (points["place"] == 0.3), "mean"] = np.nan
    assert len(matched_rules(points, "r").axes[2].lines[1].get_xdata()) == 1


def test_more_rules_than_colours_have_dashes():
    figure = matched_rules(table(tuple("abcdefgh")), "r")
    first, *_, eighth = figure.axes[0].lines
    assert first.get_color() == eighth.get_color() and first.get_linestyle() != eighth.get_linestyle()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list("abcdefgh")


def test_controls_are_lines_with_their_names():
    controls = pd.DataFrame({"panel": ["IT"], "name": ["pixels"], "value": [0.3]})
    figure = matched_rules(table(), "r", controls=controls)
    named = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert named == [[], ["pixels"], [], ["pixels"]]
    assert set(figure.axes[1].lines[-1].get_ydata()) == {0.3}


def test_names_of_controls_that_lie_together_are_told_apart():
    controls = pd.DataFrame({"panel": "IT", "name": ["pixels", "gabor", "noise"], "value": [0.31, 0.3, 50.0]})
    axes = matched_rules(table(), "r", controls=controls).axes[1]
    assert {text.get_text(): text.get_va() for text in axes.texts} == {
        "gabor": "top",
        "pixels": "bottom",
        "noise": "bottom",
    }


def test_it_is_saved_with_the_same_bytes(tmp_path):
    matched_rules(table(), "r", tmp_path / "one.pdf")
    matched_rules(table(), "r", tmp_path / "two.pdf")
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()


def test_bad_tables_are_told():
    with pytest.raises(BrainalignError, match="lacks rule"):
        matched_rules(table().drop(columns="rule"), "r")
    with pytest.raises(BrainalignError, match="lacks rows"):
        matched_rules(table().iloc[:0], "r")
    with pytest.raises(BrainalignError, match="tells"):
        matched_rules(table(tuple(f"rule{i}" for i in range(60))), "r")
