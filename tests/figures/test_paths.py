from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.figures.paths import path_plane
from brainalign.figures.style import COLOURS

RULES, STEPS = ("backprop", "feedback_alignment"), (0, 10, 100)


def table(rules=RULES, n_seeds=2, layers=("conv",), **attrs):
    """Points of networks on lines, pixels, a region, and two halves of its data."""
    rows = [
        ("network", rule, seed, step, layer, "", (i + 0.1 * seed, j + k / 4))
        for i, rule in enumerate(rules)
        for seed in range(n_seeds)
        for k, step in enumerate(STEPS)
        for j, layer in enumerate(layers)
    ]
    rows += [("pixels", "", -1, -1, "pixels", "", (3, 0)), ("region", "", -1, -1, "", "human_IT", (3, 2))]
    rows += [("half", "", -1, -1, "", "human_IT", (3, 1.8)), ("half", "", -1, -1, "", "human_IT", (3.2, 2.2))]
    rows += [("subject", "", -1, -1, "", "human_IT", (np.nan, np.nan))]
    names = ("kind", "rule", "seed", "checkpoint", "layer", "region")
    columns = list(zip(*rows, strict=True))
    kinds = {"seed": int, "checkpoint": int}
    coords = {
        name: ("point", np.array(values, dtype=kinds.get(name, object)))
        for name, values in zip(names, columns, strict=False)
    }
    facts = {
        "embedding": "metric MDS (SMACOF)",
        "stress": 0.234,
        "kept_distances": '{"human_IT": 0.81}',
        "metric": "rsa",
        "recording": "kriegeskorte2008",
        "n_stimuli": 92,
        "simulated": 0,
    }
    positions = np.array(columns[-1], dtype=float)
    return xr.Dataset({"position": (("point", "axis"), positions)}, coords=coords, attrs=facts | attrs)


def said(figure: Figure) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text))


def lines_of(figure, colour):
    return [line for line in figure.axes[0].lines if line.get_color() == colour and len(line.get_xdata()) > 1]


def test_a_line_for_each_rule_is_the_mean_over_seeds_and_thin_ones_are_seeds():
    figure = path_plane(table())
    for k, colour in enumerate(COLOURS[:2]):
        *seeds, mean = lines_of(figure, colour)
        assert [len(seed.get_xdata()) for seed in seeds] == [3, 3] and seeds[
            0
        ].get_linewidth() < mean.get_linewidth()
        assert mean.get_xdata() == pytest.approx([k + 0.05] * 2) and mean.get_ydata() == pytest.approx(
            [0, 0.25]
        )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [f"{rule}, 2 seeds" for rule in RULES]
    assert len(lines_of(path_plane(table(n_seeds=1)), COLOURS[0])) == 1


def test_the_start_is_an_open_circle_and_an_arrow_goes_to_the_end():
    figure = path_plane(table())
    (axes,) = figure.axes
    circles = [line for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert [tuple(line.get_xydata()[0]) for line in circles] == [(0.05, 0), (1.05, 0)]
    arrows = [each for each in axes.texts if isinstance(each, Annotation) and each.arrow_patch is not None]
    assert [tuple(arrow.xy) for arrow in arrows] == [(0.05, 0.5), (1.05, 0.5)]
    assert [tuple(arrow.xyann) for arrow in arrows] == [(0.05, 0.25), (1.05, 0.25)]


def test_regions_are_stars_joined_to_halves_of_their_data_and_what_has_no_place_is_left_out():
    (axes,) = path_plane(table()).axes
    stars = [line for line in axes.lines if line.get_marker() == "*"]
    assert sorted(tuple(line.get_xydata()[0]) for line in stars) == [(3, 1.8), (3, 2), (3.2, 2.2)]
    largest = max(stars, key=lambda line: line.get_markersize())
    assert tuple(largest.get_xydata()[0]) == (3, 2)
    assert {"human IT", "pixels"} <= {text.get_text() for text in axes.texts}


def test_names_of_neighbouring_regions_do_not_meet():
    points = table()
    points["position"][-5] = [2.8, 1.9]  # the pixels, beside the region and a little lower
    figure = path_plane(points)
    figure.draw_without_rendering()
    first, second = (
        text.get_window_extent() for text in figure.axes[0].texts if text.get_text() in ("human IT", "pixels")
    )
    assert first.y0 > second.y1 or second.y0 > first.y1


def test_both_axes_are_on_one_scale_and_the_plane_says_what_it_loses():
    figure = path_plane(table())
    figure.draw_without_rendering()
    (axes,) = figure.axes
    across, up = np.diff(axes.transData.transform([(0, 0), (1, 1)]), axis=0)[0]
    assert across == pytest.approx(up)
    words = said(figure)
    for fact in (
        "metric MDS (SMACOF), axis 1",
        "stress 0.23",
        "human_IT 0.81",
        "layer conv",
        "92 stimuli",
        "16 points",
    ):
        assert fact in words
    assert "from step 0 (circle) to 100 (arrow)" in words


def test_all_points_lie_inside_the_axes():
    points = table()
    (axes,) = path_plane(points).axes
    places = points.position.values[:-1]
    for low, high, values in zip(*zip(axes.get_xlim(), axes.get_ylim(), strict=True), places.T, strict=True):
        assert low < values.min() and values.max() < high


def test_simulated_stands_where_it_is_true():
    assert "SIMULATED" in said(path_plane(table(simulated=1)))
    assert "SIMULATED" not in said(path_plane(table()))


@pytest.mark.parametrize("n_rules", [1, 6])
def test_no_words_leave_the_figure_or_are_below_six_points(n_rules):
    figure = path_plane(table([f"a_rule_of_long_name_{k}" for k in range(n_rules)], simulated=1))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    labels = axes.xaxis.label, axes.yaxis.label
    texts = [*figure.texts, *axes.texts, *labels, *figure.legends[0].get_texts()]
    texts = [text for text in texts if text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 6
    boxes = [text.get_window_extent() for text in texts]
    assert all(
        box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes
    )
    above = [
        text.get_window_extent()
        for text in figure.axes[0].texts
        if text.get_text().startswith(("rsa", "stress"))
    ]
    assert all(min(a.y1, b.y1) <= max(a.y0, b.y0) + 1.5 for a, b in combinations(above, 2))


def test_saving_writes_the_same_bytes_and_leaves_the_table_as_it_was(tmp_path):
    points = table()
    for folder in ("first", "second"):
        path_plane(points, tmp_path / folder / "plane.pdf")
    assert (tmp_path / "first" / "plane.png").read_bytes() == (tmp_path / "second" / "plane.png").read_bytes()
    xr.testing.assert_identical(points, table())


def test_layers_are_drawn_one_at_a_time():
    two = table(layers=("conv", "head"))
    with pytest.raises(BrainalignError, match="holds the layers conv, head; name one as layer"):
        path_plane(two)
    with pytest.raises(UnknownNameError, match="layer in the table 'heed'.*Did you mean 'head'"):
        path_plane(two, layer="heed")
    mean = lines_of(path_plane(two, layer="head"), COLOURS[0])[-1]
    assert mean.get_ydata() == pytest.approx([1, 1.25])


def test_tables_that_cannot_be_drawn_say_why():
    with pytest.raises(BrainalignError, match="lacks position; a plane is drawn from what `in_plane` returns"):
        path_plane(table().drop_vars("position"))
    bare = table()
    del bare.attrs["stress"]
    with pytest.raises(BrainalignError, match="lacks stress"):
        path_plane(bare)
    with pytest.raises(BrainalignError, match="no point of a network"):
        path_plane(table().isel(point=slice(-5, None)))
    with pytest.raises(BrainalignError, match=r"15 rules \(rule0, .*tells 14 apart"):
        path_plane(table([f"rule{k}" for k in range(15)]))
