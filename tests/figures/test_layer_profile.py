import json
import re
from itertools import combinations

import matplotlib
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.figures import layer_profile
from brainalign.figures.profile_lines import Cell
from brainalign.figures.style import COLOURS, spread_apart

COORDINATES = Cell._fields[:10]
MM = 25.4


def cells(network="convnet", layers=("a", "b", "c"), raw=(0.2, 0.4, 0.3), **other):
    base = {
        "recording": "simulated",
        "region": "V4",
        "subject": "",
        "network": network,
        "metric": "ridge",
        "task": "",
        "rule": "",
        "seed": -1,
        "checkpoint": -1,
        "ceiling": 0.8,
        "ceiling_lower": np.nan,
        "n_stimuli": 120,
        "n_units": 48,
        "n_units_masked": 0,
        "note": "",
    }
    return [
        {**base, "layer": layer, "raw": value, "low": value - 0.05, "high": value + 0.06, **other}
        for layer, value in zip(layers, raw, strict=True)
    ]


def table(*groups, simulated=0, **attrs) -> xr.Dataset:
    frame = pd.DataFrame([cell for group in groups for cell in group], columns=pd.Index(Cell._fields))
    scores = xr.Dataset({name: ("cell", frame[name].to_numpy()) for name in frame.columns})
    return scores.set_coords(COORDINATES).assign_attrs(simulated=simulated, interval="95 % interval", **attrs)


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def lines_of(axes) -> dict[tuple[float, ...], object]:
    """The lines that span depth, by their heights."""
    return {tuple(np.round(line.get_ydata(), 6)): line for line in axes.lines if len(line.get_xdata()) > 1}


def full_table() -> xr.Dataset:
    """Several places and metrics with everything that can be drawn, in crowded conditions."""
    groups = []
    places = [("cowley2023/210325", "V4"), ("cichy2014", "EVC"), ("cichy2014", "IT"), ("mine", "simulated_V1")]
    for i, (recording, region) in enumerate(places):
        for metric in ("ridge", "rsa:rdm=euclidean,compare=tau_a"):
            place = {"recording": recording, "region": region, "metric": metric}
            layers = [f"features.block.{k}.projection.conv" for k in range(6)]
            rising, falling = np.linspace(0.2, 0.5, 6) + i / 50, np.linspace(0.3, -0.05, 6)
            groups.append(cells("efficientnet-lite0", layers, rising, **place))
            groups.append(cells("efficientnet-lite0", ["committed"], [0.47], **place))
            for seed in range(3):
                groups.append(
                    cells(f"efficientnet-lite0@untrained:{seed}", layers, falling, seed=seed, **place)
                )
            groups.append(cells("pixels", ["image"], [0.31], **place))
            groups.append(cells("gabor", ["energy"], [0.315], **place))
            groups.append(cells("my_networks/long_file_name.py:a_factory_of_one_layer", ["x"], [0.1], **place))
    groups[-1][0]["raw"] = np.nan
    labels = {"ridge": "Pearson r, median over units", "rsa:rdm=euclidean,compare=tau_a": "Kendall τ-a"}
    return table(*groups, simulated=1, metric_labels=json.dumps(labels))


def test_a_panel_for_each_region_and_a_row_for_each_metric():
    figure = layer_profile(full_table())
    assert len(figure.axes) == 8
    assert len(layer_profile(full_table(), metric="ridge").axes) == 4
    # Three columns at most, so the fourth place starts again at the left, below both metrics.
    corners = [(round(axes.get_position().x0, 3), round(axes.get_position().y0, 3)) for axes in figure.axes]
    assert len({x for x, _ in corners}) == 3
    assert len({y for _, y in corners}) == 4


def test_the_one_subject_stands_above_the_panel():
    figure = layer_profile(table(cells(subject="WE")))
    assert "simulated, WE" in words(figure)


def test_several_subjects_are_lines_of_one_panel():
    figure = layer_profile(table(cells(subject="WE"), cells(subject="PE", raw=[0.1, 0.2, 0.1])))
    assert len(figure.axes) == 1
    assert {"convnet, WE", "convnet, PE", "simulated"} <= set(words(figure))


def test_a_metric_that_the_recording_does_not_allow_says_why():
    unmet = cells(layers=[""], raw=[np.nan], metric="cka", ceiling=np.nan, n_stimuli=0, n_units=0)
    unmet[0]["note"] = "cka needs responses, given RDMs"
    figure = layer_profile(table(cells(subject="WE"), unmet))
    assert len(figure.axes) == 2
    assert {"no score", "cka needs responses, given RDMs"} <= set(words(figure))
    assert not [word for word in words(figure) if "no ceiling" in word or word.startswith("0 stimuli")]


@pytest.mark.parametrize("n_places, millimetres", [(1, 85), (2, 180), (3, 180), (5, 180)])
def test_width_is_a_journals_column(n_places, millimetres):
    figure = layer_profile(table(*(cells(region=f"area {i}") for i in range(n_places))))
    assert figure.get_figwidth() * MM == pytest.approx(millimetres)


def test_line_stands_at_raw_with_layers_evenly_spaced_in_the_tables_order():
    (axes,) = layer_profile(table(cells(layers=["z", "a", "m"]))).axes
    (line,) = axes.lines[1:]  # the first is the ceiling
    assert line.get_xdata() == pytest.approx([0, 0.5, 1])
    assert line.get_ydata() == pytest.approx([0.2, 0.4, 0.3])
    ribbon = axes.collections[0].get_paths()[0].vertices
    assert {(0.0, 0.15), (0.5, 0.46), (1.0, 0.25)} <= {(x, y) for x, y in ribbon.round(6).tolist()}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["z", "m"]


def test_networks_of_other_depths_share_the_abscissa():
    (axes,) = layer_profile(table(cells(), cells("other", ["p", "q"], [0.1, 0.2]))).axes
    ends = {(line.get_xdata()[0], line.get_xdata()[-1]) for line in axes.lines[1:]}
    assert ends == {(0.0, 1.0)}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.5", "1"]


def test_untrained_seeds_are_one_line_at_their_mean_with_a_band_over_their_range():
    seeds = [
        cells(f"convnet@untrained:{seed}", ["a", "b"], raw, seed=seed)
        for seed, raw in enumerate([(0.1, 0.2), (0.2, 0.2), (0.3, 0.5)])
    ]
    figure = layer_profile(table(cells(layers=["a", "b"], raw=[0.5, 0.6]), *seeds))
    (axes,) = figure.axes
    lines = lines_of(axes)
    trained, untrained = lines[0.5, 0.6], lines[0.2, 0.3]
    assert untrained.get_color() == trained.get_color() == COLOURS[0]
    assert untrained.get_linestyle() == "--" != trained.get_linestyle()
    band = axes.collections[1].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(0.1) and band[:, 1].max() == pytest.approx(0.5)
    assert "convnet@untrained, 3 seeds" in words(figure)
    assert "Over seeds: mean and range." in " ".join(words(figure)).replace("\n", " ")


@pytest.mark.parametrize(
    "network, label",
    [("convnet@untrained:7", "convnet@untrained:7"), ("convnet@untrained", "convnet@untrained, seed 7")],
)
def test_one_untrained_seed_keeps_its_number_and_its_interval(network, label):
    figure = layer_profile(table(cells(network, seed=7)))
    assert label in words(figure)
    assert figure.axes[0].collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(0.46)


def test_seeds_may_stand_in_the_seed_coordinate_alone():
    runs = [cells("convnet@untrained", raw=[seed / 10] * 3, seed=seed) for seed in range(3)]
    figure = layer_profile(table(*runs))
    assert "convnet@untrained, 3 seeds" in words(figure)
    assert (0.1, 0.1, 0.1) in lines_of(figure.axes[0])


def test_rules_and_checkpoints_are_lines_of_their_own():
    runs = [cells("run", rule="backprop", checkpoint=step, seed=0) for step in (0, 500)]
    shown = words(layer_profile(table(*runs)))
    assert {"run, backprop, step 0, seed 0", "run, backprop, step 500, seed 0"} <= set(shown)


def test_controls_are_named_beside_their_level_and_stay_out_of_the_legend():
    figure = layer_profile(table(cells(), cells("pixels:64", ["p"], [0.3]), cells("gabor", ["e"], [0.32])))
    assert {"pixels:64", "gabor", "ceiling"} <= set(words(figure))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["convnet"]
    lines = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    segments = [line.get_segments()[0] for line in lines]
    assert [s[0, 1] for s in segments if np.ptp(s[:, 0]) == 1] == pytest.approx([0.3, 0.32])
    # Their intervals stand right of the last layer.
    assert [s[:, 1].tolist() for s in segments if np.ptp(s[:, 0]) == 0] == [
        pytest.approx([0.25, 0.36]),
        pytest.approx([0.27, 0.38]),
    ]


def test_a_table_of_controls_alone_is_drawn():
    assert "pixels" in words(layer_profile(table(cells("pixels", ["image"], [0.3]))))


def test_committed_layer_is_a_mark_right_of_the_last_layer():
    figure = layer_profile(table(cells(), cells(layers=["committed"], raw=[0.39])))
    (axes,) = figure.axes
    (mark,) = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert mark.get_xdata()[0] > 1 and mark.get_ydata() == pytest.approx([0.39]) and mark.get_marker() == "D"
    assert axes.get_xlim()[1] > mark.get_xdata()[0]
    interval = axes.collections[-1].get_segments()[0]
    assert interval[:, 1] == pytest.approx([0.34, 0.45])
    assert len(lines_of(axes)) == 2  # ceiling and the network's three layers
    assert "committed layer" in " ".join(words(figure)).replace("\n", " ")


def test_ceiling_is_a_band_between_its_bounds():
    (axes,) = layer_profile(table(cells(ceiling=0.66, ceiling_lower=0.37))).axes
    (band,) = axes.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((0.37, 0.66))


def test_ceiling_of_one_value_is_a_line():
    (axes,) = layer_profile(table(cells())).axes
    assert not axes.patches
    assert axes.lines[0].get_ydata() == pytest.approx([0.8, 0.8])


def test_no_ceiling_is_said_with_its_reason():
    note = "3 layers projected; no ceiling: one pooled RDM"
    figure = layer_profile(table(cells(ceiling=np.nan, note=note)))
    assert "no ceiling: one pooled RDM" in words(figure)
    assert "ceiling" not in words(figure)


def test_counts_of_stimuli_units_and_masked_units():
    shown = words(layer_profile(table(cells(n_units_masked=2), cells(region="IT", n_units=-1))))
    assert "120 stimuli, 48 units (2 left out)" in shown
    assert "120 stimuli" in shown


def test_cells_without_a_score_are_left_out_and_counted():
    gap = cells(layers="abcd", raw=[0.2, np.nan, 0.4, 0.3])
    gap[1].update(low=0.1, high=0.9)
    figure = layer_profile(table(gap))
    (axes,) = figure.axes
    assert axes.lines[1].get_ydata() == pytest.approx([0.2, np.nan, 0.4, 0.3], nan_ok=True)
    vertices = np.concatenate([path.vertices for path in axes.collections[0].get_paths()])
    assert vertices[:, 1].max() == pytest.approx(0.46)
    assert "1 of 4 cells without a score" in words(figure)


def test_a_panel_without_any_score_says_so():
    assert "no score" in words(layer_profile(table(cells(raw=[np.nan] * 3))))


def test_simulated_stands_in_every_panel_and_only_where_it_is_true():
    figure = layer_profile(full_table())
    for axes in figure.axes:
        assert [text.get_text() for text in axes.texts].count("SIMULATED") == 1
    assert "SIMULATED" not in words(layer_profile(table(cells())))


def test_ordinate_names_metric_and_unit():
    labels = json.dumps({"ridge": "Pearson r, median over units"})
    (axes,) = layer_profile(table(cells(), metric_labels=labels)).axes
    assert axes.get_ylabel().replace("\n", " ") == "ridge: Pearson r, median over units"
    (axes,) = layer_profile(table(cells())).axes
    assert axes.get_ylabel() == "ridge"
    labels = json.dumps({"ridge": "Pearson r, ridge"})
    (axes,) = layer_profile(table(cells(), metric_labels=labels)).axes
    assert axes.get_ylabel() == "Pearson r, ridge"


def test_panels_of_one_metric_share_their_ordinate():
    figure = layer_profile(table(cells(), cells(region="IT", raw=[-0.3, 0.7, 0.9])))
    first, second = figure.axes
    assert first.get_ylim() == second.get_ylim()
    assert first.get_ylim()[0] < -0.35 and first.get_ylim()[1] > 0.96


def box_of(text: Text) -> Bbox:
    """Where the letters stand, without an empty first line."""
    box = text.get_window_extent()
    empty = box.height / 2 if text.get_text().startswith("\n") else 0
    return Bbox([[box.x0, box.y0], [box.x1, box.y1 - empty]])


def test_no_words_overlap_or_leave_the_figure_and_none_is_below_six_points():
    figure = layer_profile(full_table())
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= 6
    boxes = [(text, box_of(text)) for text in texts]
    outside = [t.get_text() for t, box in boxes if box.x0 < 0 or box.y0 < 0 or box.x1 > figure.bbox.x1]
    assert not outside
    # A pixel of leading between lines of one paragraph is no overlap.
    overlapping = [
        (a.get_text(), b.get_text())
        for (a, p), (b, q) in combinations(boxes, 2)
        if min(p.x1, q.x1) - max(p.x0, q.x0) > 1 and min(p.y1, q.y1) - max(p.y0, q.y0) > 1.5
    ]
    assert not overlapping
    for axes in figure.axes:
        assert axes.get_window_extent().y0 > figure.legends[0].get_window_extent().y1


def test_saving_a_pdf_writes_a_png_beside_it_the_same_bytes_each_time(tmp_path):
    before = dict(matplotlib.rcParams)
    for folder in ("first", "second"):
        layer_profile(full_table(), path=tmp_path / folder / "v4.pdf")
    assert dict(matplotlib.rcParams) == before
    assert sorted(file.name for file in (tmp_path / "first").iterdir()) == ["v4.pdf", "v4.png"]
    for name in ("v4.pdf", "v4.png"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    pdf = (tmp_path / "first" / "v4.pdf").read_bytes()
    assert b"/Subtype /Type0" in pdf and b"/Type3" not in pdf and b"CreationDate" not in pdf


def test_png_has_300_dots_an_inch(tmp_path):
    layer_profile(table(cells()), path=[str(tmp_path / "a.png")])
    with matplotlib.cbook.open_file_cm(tmp_path / "a.png", "rb") as file:
        width = int.from_bytes(file.read()[16:20], "big")
    assert width == pytest.approx(85 / MM * 300, abs=1)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_a_file_name_of_unknown_ending_writes_nothing(tmp_path):
    with pytest.raises(BrainalignError, match=r"'.*v4\.jpg'; let the name end in \.pdf, \.png, \.svg"):
        layer_profile(table(cells()), path=[tmp_path / "v4.pdf", tmp_path / "v4.jpg"])
    assert not list(tmp_path.iterdir())


def test_caller_s_table_is_unchanged():
    scores = full_table()
    layer_profile(scores)
    xr.testing.assert_identical(scores, full_table())


def test_an_empty_table_is_an_error():
    with pytest.raises(BrainalignError, match="no cell"):
        layer_profile(table())


@pytest.mark.parametrize("name", ["raw", "ceiling", "layer"])
def test_a_missing_variable_is_named(name):
    with pytest.raises(BrainalignError, match=rf"lacks {name}; .*`score`"):
        layer_profile(table(cells()).drop_vars(name))


def test_an_unknown_metric_brings_the_closest():
    with pytest.raises(UnknownNameError, match="'rigde'.*Did you mean 'ridge'"):
        layer_profile(table(cells()), metric="rigde")


def test_a_layer_that_stands_twice_is_an_error():
    with pytest.raises(BrainalignError, match=re.escape("'convnet', layer 'a', twice for V4 of 'simulated'")):
        layer_profile(table(cells(), cells()))


def test_spread_apart_keeps_order_distance_and_bounds():
    rng = np.random.default_rng(0)
    for _ in range(50):
        heights = rng.uniform(0, 10, 5)
        placed = spread_apart(heights, gap=1.5, bottom=0.0, top=10.0)
        assert (np.argsort(placed) == np.argsort(heights)).all()
        assert (np.diff(np.sort(placed)) >= 1.5 - 1e-12).all()
        assert placed.min() >= -1e-12 and placed.max() <= 10 + 1e-12
    far = np.array([1.0, 9.0, 5.0])
    assert (spread_apart(far, gap=1.5, bottom=0.0, top=10.0) == far).all()
