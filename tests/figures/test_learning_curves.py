import json
import re
from itertools import combinations

import matplotlib
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy import stats

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.figures import learning_curves
from brainalign.figures.cells import Cell
from brainalign.figures.curve_table import curve_table, over_seeds
from brainalign.figures.style import COLOURS

COORDINATES = Cell._fields[:10]
STEPS = (0, 10, 100)
MM = 25.4


def cells(raw=(0.2, 0.3, 0.4), steps=STEPS, **other):
    """One run's committed layer at its checkpoints; the score is half of raw, so that the two differ."""
    base = {
        "recording": "simulated",
        "region": "V4",
        "subject": "",
        "network": "lenet",
        "layer": "committed",
        "metric": "ridge",
        "task": "classification:digits",
        "rule": "backprop",
        "seed": 0,
        "ceiling": 0.8,
        "ceiling_lower": np.nan,
        "n_stimuli": 120,
        "n_units": 48,
        "n_units_masked": 0,
        "note": "",
    }
    return [
        {
            **base,
            "checkpoint": step,
            "raw": value,
            "low": value - 0.05,
            "high": value + 0.06,
            "score": value / 2,
            **other,
        }
        for step, value in zip(steps, raw, strict=True)
    ]


def without_checkpoints(network, raw, **other):
    """A control, or random weights."""
    return cells([raw], [-1], network=network, **{"task": "", "rule": "", "seed": -1, **other})


NO_CEILING = {"ceiling": np.nan, "score": np.nan, "note": "3 layers; no ceiling: no stimulus was repeated"}


def table(*groups, simulated=0, **attrs) -> xr.Dataset:
    frame = pd.DataFrame([cell for group in groups for cell in group], columns=pd.Index(Cell._fields))
    scores = xr.Dataset({name: ("cell", frame[name].to_numpy()) for name in frame.columns})
    return scores.set_coords(COORDINATES).assign_attrs(simulated=simulated, **attrs)


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def said(figure: Figure) -> str:
    return " ".join(words(figure)).replace("\n", " ")


def curves_of(axes) -> list:
    """The lines with a marker: levels and ceilings have none."""
    return [line for line in axes.lines if line.get_marker() != "None"]


def heights_of(axes) -> list[float]:
    return [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "None"]


def bands_of(axes) -> list[np.ndarray]:
    bands = [each for each in axes.collections if isinstance(each, FillBetweenPolyCollection)]
    return [path.vertices for band in bands for path in band.get_paths() if len(path.vertices)]


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def full_table(n_places=5) -> xr.Dataset:
    """Several places and metrics with everything that can be drawn, in crowded conditions."""
    rng = np.random.default_rng(0)
    steps = [0, *np.unique(np.geomspace(1, 20_000, 24).astype(int)).tolist()]
    groups = []
    places = [
        ("cowley2023/210325", "V4"),
        ("cichy2014", "EVC"),
        ("majajhong2015", "IT"),
        ("mine", "simulated_V1"),
        ("zhang2011", "IT"),
    ]
    for i, (recording, region) in enumerate(places[:n_places]):
        for metric in ("ridge", "rsa:rdm=euclidean,compare=tau_a"):
            place = {
                "recording": recording,
                "region": region,
                "metric": metric,
                **(NO_CEILING if i == 2 else {}),
            }
            for rule in ("backprop", "feedback_alignment", "difference_target_propagation"):
                for seed in range(5):
                    raw = np.linspace(0.2, 0.6, len(steps)) + rng.normal(0, 0.02, len(steps))
                    groups.append(cells(raw, steps, rule=rule, seed=seed, **place))
            groups += [
                without_checkpoints("pixels", 0.31, **place),
                without_checkpoints("gabor", 0.315, **place),
            ]
            groups += [without_checkpoints(f"lenet@untrained:{s}", 0.3, seed=s, **place) for s in range(3)]
    groups[-1][0]["score"] = np.nan
    labels = {"ridge": "Pearson r, median over units", "rsa:rdm=euclidean,compare=tau_a": "Kendall τ-a"}
    return table(*groups, simulated=1, metric_labels=json.dumps(labels))


@pytest.mark.parametrize("n_places, columns", [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3)])
def test_a_panel_for_each_region_and_a_row_for_each_metric(n_places, columns):
    figure = learning_curves(full_table(n_places))
    assert len(figure.axes) == 2 * n_places
    corners = [(round(axes.get_position().x0, 3), round(axes.get_position().y0, 3)) for axes in figure.axes]
    assert len({x for x, _ in corners}) == columns
    assert len({y for _, y in corners}) == 2 * -(-n_places // columns)
    assert len(learning_curves(full_table(n_places), metric="ridge").axes) == n_places
    assert figure.get_figwidth() * MM == pytest.approx(85 if n_places == 1 else 180)


def test_several_subjects_are_panels_of_their_own():
    figure = learning_curves(table(cells(subject="WE"), cells(subject="PE")))
    assert len(figure.axes) == 2
    assert {"simulated, WE", "simulated, PE"} <= set(words(figure))


def test_a_curve_is_the_normalised_score_at_each_step_where_there_is_a_ceiling():
    figure = learning_curves(table(cells(steps=(100, 0, 10))))  # the table's order of checkpoints is no matter
    (axes,) = figure.axes
    (curve,) = curves_of(axes)
    assert curve.get_xdata() == pytest.approx(STEPS)
    assert curve.get_ydata() == pytest.approx([0.15, 0.2, 0.1])
    assert axes.get_ylabel() == "ridge, normalised by the ceiling"


def test_raw_is_drawn_and_named_where_there_is_no_ceiling():
    labels = json.dumps({"ridge": "Pearson r, median over units"})
    figure = learning_curves(table(cells(**NO_CEILING), metric_labels=labels))
    (axes,) = figure.axes
    assert curves_of(axes)[0].get_ydata() == pytest.approx([0.2, 0.3, 0.4])
    assert axes.get_ylabel().replace("\n", " ") == "ridge: Pearson r, median over units (raw)"
    assert "no ceiling: no stimulus was repeated" in words(figure)
    assert "ceiling" not in words(figure)


def test_panels_of_one_row_that_differ_in_scale_each_name_theirs():
    places = cells(), cells(region="IT"), cells(region="EVC", **NO_CEILING)
    first, second, third = learning_curves(table(*places)).axes
    assert first.get_ylabel().replace("\n", " ") == "ridge, normalised by the ceiling"
    assert second.get_ylabel() == ""
    assert third.get_ylabel() == "raw"
    assert first.get_ylim() == second.get_ylim() != third.get_ylim()


def test_a_layer_whose_score_cannot_be_normalised_is_drawn_raw_and_says_so():
    figure = learning_curves(table(cells(score=np.nan, ceiling_lower=0.5)))
    (axes,) = figure.axes
    assert curves_of(axes)[0].get_ydata() == pytest.approx([0.2, 0.3, 0.4])
    assert "not normalised: no score at this layer" in words(figure)
    (band,) = axes.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((0.5, 0.8))


def test_over_seeds_agrees_with_scipys_one_sample_interval():
    rng = np.random.default_rng(0)
    for n in (2, 3, 5, 20):
        values = rng.normal(0.3, 0.1, n)
        expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert over_seeds(values) == pytest.approx((values.mean(), expected.low, expected.high), rel=1e-12)
    assert over_seeds([0.3, np.nan]) == pytest.approx((0.3, np.nan, np.nan), nan_ok=True)
    assert np.isnan(over_seeds([np.nan])).all()


def test_a_band_is_the_interval_over_seeds_round_their_mean():
    raw = np.array([[0.2, 0.3, 0.4], [0.3, 0.5, 0.7], [0.1, 0.4, 0.5]])
    figure = learning_curves(table(*(cells(values, seed=seed) for seed, values in enumerate(raw))))
    (axes,) = figure.axes
    assert curves_of(axes)[0].get_ydata() == pytest.approx(raw.mean(0) / 2)
    low, high = stats.t.interval(0.95, 2, raw.mean(0) / 2, stats.sem(raw / 2))
    (band,) = bands_of(axes)
    for step, ends in zip(STEPS, zip(low, high, strict=True), strict=True):
        heights = band[np.isclose(band[:, 0], step), 1]
        assert (heights.min(), heights.max()) == pytest.approx(ends)
    assert legend_of(figure) == ["backprop, 3 seeds"]
    assert "95 % t-interval over seeds" in said(figure)


def test_one_seed_has_no_band_and_says_so():
    figure = learning_curves(table(cells()))
    assert not bands_of(figure.axes[0])
    assert legend_of(figure) == ["backprop, 1 seed"]
    assert "one seed, so no interval" in said(figure) and "t-interval" not in said(figure)


def test_a_line_for_each_rule_with_a_colour_of_its_own_in_every_panel():
    rules = ("backprop", "feedback_alignment", "hebbian")
    groups = [cells(rule=rule, seed=s, region=r) for rule in rules for s in range(2) for r in ("V4", "IT")]
    figure = learning_curves(table(*groups))
    for axes in figure.axes:
        assert [line.get_color() for line in curves_of(axes)] == list(COLOURS[:3])
        assert len({line.get_marker() for line in curves_of(axes)}) == 3
    assert legend_of(figure) == [f"{rule}, 2 seeds" for rule in rules]


def test_steps_are_logarithmic_and_step_0_is_shown():
    (axes,) = learning_curves(table(cells([0.2, 0.3, 0.4, 0.5], [0, 10, 100, 1000]))).axes
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ["0", "10", "100", "1k"]
    at = axes.transData.transform([(x, 0) for x in (0, 10, 100, 1000)])[:, 0]
    zero, decade = at[1] - at[0], np.diff(at[1:])
    assert decade == pytest.approx([decade[0]] * 2)
    assert 0 < zero < decade[0]
    left, right = (axes.transData.transform((x, 0))[0] for x in axes.get_xlim())
    assert left < at[0] and right > at[-1]


@pytest.mark.parametrize(
    "steps, ticks", [((5,), "5"), ((0,), "0"), ((0, 300), "0 300"), ((200, 700), "200 700")]
)
def test_few_steps_are_ticks_themselves(steps, ticks):
    (axes,) = learning_curves(table(cells([0.2] * len(steps), steps))).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ticks.split()
    axes.figure.draw_without_rendering()


def test_the_committed_layer_is_drawn_unless_another_is_named():
    scores = table(cells(), cells([0.1, 0.2, 0.3], layer="conv1"))
    assert curves_of(learning_curves(scores).axes[0])[0].get_ydata() == pytest.approx([0.1, 0.15, 0.2])
    assert "committed at each step on other stimuli" in said(learning_curves(scores))
    fixed = learning_curves(scores, layer="conv1")
    assert curves_of(fixed.axes[0])[0].get_ydata() == pytest.approx([0.05, 0.1, 0.15])
    assert "Layer: conv1, at every step" in said(fixed)


def test_controls_are_levels_named_beside_them_whatever_the_layer():
    controls = [
        without_checkpoints("pixels:32", 0.3, layer="image"),
        without_checkpoints("pixels:32", 0.28),  # committed
        without_checkpoints("gabor", 0.34, layer="energy"),
    ]
    run = cells([0.2, 0.6, 1.2]), cells(layer="conv1")
    figure = learning_curves(table(*run, *controls))
    assert {"pixels:32", "gabor", "ceiling"} <= set(words(figure))
    assert sorted(heights_of(figure.axes[0])) == pytest.approx([0.14, 0.17, 1.0])
    assert legend_of(figure) == ["backprop, 1 seed"]
    figure = learning_curves(table(*run, *controls), layer="conv1")  # its curve is far below the ceiling
    assert sorted(heights_of(figure.axes[0])) == pytest.approx([0.15, 0.17])


@pytest.mark.parametrize(
    "who", [{"network": "lenet@untrained:{}"}, {"rule": "untrained"}, {"rule": "untrained", "checkpoint": 0}]
)
def test_random_weights_are_a_level_at_the_mean_of_their_seeds(who):
    groups = [
        without_checkpoints(
            **{**who, "network": who.get("network", "lenet").format(seed)},
            raw=raw,
            seed=seed,
        )
        for seed, raw in enumerate((0.2, 0.3))
    ]
    figure = learning_curves(table(cells(), *groups))
    assert 0.125 in [round(height, 9) for height in heights_of(figure.axes[0])]
    assert "untrained" in words(figure)
    assert legend_of(figure) == ["backprop, 1 seed"]


def test_other_networks_without_checkpoints_are_levels_that_the_legend_names():
    figure = learning_curves(table(cells(), without_checkpoints("efficientnet-lite0", 0.5)))
    assert 0.25 in heights_of(figure.axes[0])
    assert legend_of(figure) == ["backprop, 1 seed", "efficientnet-lite0"]


def test_the_ceiling_is_1_on_the_normalised_scale():
    figure = learning_curves(table(cells([0.9, 1.2, 1.4])))
    assert heights_of(figure.axes[0]) == [1.0]
    assert "ceiling" in words(figure)


def test_a_ceiling_that_would_flatten_the_curves_is_said_in_words():
    figure = learning_curves(table(cells()))
    assert "ceiling 1.00: above the axis" in words(figure)
    assert "ceiling" not in words(figure)
    assert figure.axes[0].get_ylim()[1] < 0.3


def test_a_metric_that_the_recording_does_not_allow_says_why():
    unmet = cells([np.nan], [-1], metric="cka", layer="", score=np.nan, ceiling=np.nan, n_stimuli=0, n_units=0)
    unmet[0]["note"] = "cka needs responses, given RDMs"
    figure = learning_curves(table(cells(subject="WE"), unmet))
    assert len(figure.axes) == 2
    assert {"no score", "cka needs responses, given RDMs"} <= set(words(figure))


def test_cells_without_a_score_are_left_out_and_counted():
    gap = cells(seed=1)
    gap[1].update(score=np.nan, raw=np.nan)
    figure = learning_curves(table(cells(), gap))
    assert curves_of(figure.axes[0])[0].get_ydata() == pytest.approx([0.1, 0.15, 0.2])
    assert "1 of 6 cells without a score" in words(figure)
    assert legend_of(figure) == ["backprop, 1–2 seeds"]


def test_a_run_that_failed_is_counted_and_is_no_curve():
    failed = cells(
        [np.nan], [-1], rule="hebbian", layer="", score=np.nan, ceiling=np.nan, n_stimuli=0, n_units=0
    )
    figure = learning_curves(table(cells(), failed))
    assert len(curves_of(figure.axes[0])) == 1
    assert {"1 of 4 cells without a score", "120 stimuli, 48 units"} <= set(words(figure))


def test_counts_of_stimuli_units_and_masked_units():
    shown = words(learning_curves(table(cells(n_units_masked=2), cells(region="IT", n_units=-1))))
    assert {"120 stimuli, 48 units (2 left out)", "120 stimuli"} <= set(shown)


def test_networks_and_tasks_are_dashes_that_the_legend_names():
    figure = learning_curves(table(cells(), cells(network="mlp", task="rotation:mnist")))
    lines = curves_of(figure.axes[0])
    assert len({line.get_linestyle() for line in lines}) == 2
    assert len({line.get_color() for line in lines}) == 1
    assert legend_of(figure)[1:] == ["lenet on classification:digits", "mlp on rotation:mnist"]
    assert "Network: lenet on classification:digits." in said(learning_curves(table(cells())))


def test_simulated_stands_in_every_panel_and_only_where_it_is_true():
    for axes in learning_curves(full_table()).axes:
        assert [text.get_text() for text in axes.texts].count("SIMULATED") == 1
    assert "SIMULATED" not in words(learning_curves(table(cells())))


@pytest.mark.parametrize("n_places", [1, 2, 4, 5])
def test_no_words_overlap_or_leave_the_figure_and_none_is_below_six_points(n_places):
    figure = learning_curves(full_table(n_places))
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= 6
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    edge = figure.bbox.x1
    assert not [
        name for name, box in boxes if box.x0 < 0 or box.y0 < 0 or box.x1 > edge or box.y1 > figure.bbox.y1
    ]
    overlapping = [
        (a, b)
        for (a, p), (b, q) in combinations(boxes, 2)
        if min(p.x1, q.x1) - max(p.x0, q.x0) > 1 and min(p.y1, q.y1) - max(p.y0, q.y0) > 1.5
    ]
    assert not overlapping
    for axes in figure.axes:
        assert axes.get_window_extent().y0 > figure.legends[0].get_window_extent().y1


def test_titles_of_a_row_stand_in_line():
    figure = learning_curves(table(cells(), cells(region="IT", **NO_CEILING)))
    figure.draw_without_rendering()
    titles = [text for text in figure.findobj(Text) if text.get_text() in ("V4", "IT")]
    assert len({round(text.get_window_extent().y0) for text in titles}) == 1


def test_saving_a_pdf_writes_a_png_beside_it_the_same_bytes_each_time(tmp_path):
    before = dict(matplotlib.rcParams)
    for folder in ("first", "second"):
        learning_curves(full_table(2), tmp_path / folder / "curves.pdf")
    assert dict(matplotlib.rcParams) == before
    assert sorted(file.name for file in (tmp_path / "first").iterdir()) == ["curves.pdf", "curves.png"]
    for name in ("curves.pdf", "curves.png"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    pdf = (tmp_path / "first" / "curves.pdf").read_bytes()
    assert b"/Subtype /Type0" in pdf and b"/Type3" not in pdf


def test_a_file_name_of_unknown_ending_writes_nothing(tmp_path):
    with pytest.raises(BrainalignError, match=r"'.*curves\.jpg'; let the name end in \.pdf, \.png, \.svg"):
        learning_curves(table(cells()), tmp_path / "curves.jpg")
    assert not list(tmp_path.iterdir())


def test_curve_table_holds_what_is_drawn():
    scores = table(cells(seed=0), cells([0.4, 0.5, np.nan], score=np.nan, seed=1), **{"metric_labels": "{}"})
    found = curve_table(scores.assign(score=scores.raw / 2))
    assert found["checkpoint"].tolist() == [0, 10, 100]
    assert found["scale"].unique().tolist() == ["score"]
    assert found["mean"].tolist() == pytest.approx([0.15, 0.2, 0.2])
    assert found["n_seeds"].tolist() == [2, 2, 1] and found["n_missing"].tolist() == [0, 0, 1]
    assert found["low"].isna().tolist() == [False, False, True]


def test_caller_s_table_is_unchanged():
    scores = full_table()
    learning_curves(scores)
    xr.testing.assert_identical(scores, full_table())


def test_an_empty_table_is_an_error():
    with pytest.raises(BrainalignError, match="no cell"):
        learning_curves(table())


def test_a_table_without_checkpoints_is_an_error_that_names_the_other_figure():
    scores = table(without_checkpoints("resnet18", 0.3), cells(rule="untrained"))
    with pytest.raises(BrainalignError, match=r"no checkpoint of a trained network.*score the folder of a run"):
        learning_curves(scores)


@pytest.mark.parametrize("name", ["score", "checkpoint"])
def test_a_missing_variable_is_named(name):
    with pytest.raises(BrainalignError, match=rf"lacks {name}; .*`score`"):
        learning_curves(table(cells()).drop_vars(name))


def test_an_unknown_metric_or_layer_brings_the_closest():
    with pytest.raises(UnknownNameError, match="'rigde'.*Did you mean 'ridge'"):
        learning_curves(table(cells()), metric="rigde")
    with pytest.raises(UnknownNameError, match="layer in the table 'convv1'.*Did you mean 'conv1'"):
        learning_curves(table(cells(layer="conv1")), layer="convv1")
    with pytest.raises(UnknownNameError, match="layer in the table 'committed'.*Choices: conv1, conv2"):
        learning_curves(table(cells(layer="conv1"), cells(layer="conv2")))


def test_a_cell_that_stands_twice_is_an_error():
    message = "'lenet', rule 'backprop', seed 0, layer 'committed', twice at checkpoint 0 for V4 of 'simulated'"
    with pytest.raises(BrainalignError, match=re.escape(message)):
        learning_curves(table(cells(), cells()))


def test_more_than_can_be_told_apart_is_an_error_that_says_how_to_select():
    with pytest.raises(BrainalignError, match=r"15 rules \(rule0, .*tells 14 apart.*scores\['rule'\]\.isin"):
        learning_curves(table(*(cells(rule=f"rule{i}") for i in range(15))))
    with pytest.raises(BrainalignError, match=r"5 networks and tasks .*tells 4 apart"):
        learning_curves(table(*(cells(network=f"net{i}") for i in range(5))))
    with pytest.raises(BrainalignError, match=r"5 networks without checkpoints .*tells 4 apart"):
        learning_curves(table(cells(), *(without_checkpoints(f"net{i}", 0.2) for i in range(5))))
