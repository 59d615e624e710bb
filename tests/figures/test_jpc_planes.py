import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from brainalign.errors import BrainalignError
from brainalign.figures.jpc_planes import COLOURS, jpc_planes

TIMES = np.round(np.arange(-0.05, 0.36, 0.01), 3)


def plane(n: int = 5, **attrs) -> xr.DataArray:
    """Conditions that start along the first axis, the last one leftmost, and go round."""
    angle = 8 * (TIMES - TIMES[0])
    start = np.linspace(2, -1, n)[:, None]
    places = np.stack([start * np.cos(angle), start * np.sin(angle)], axis=2)
    facts = {"frequency": 1.274, "share": 0.243, "ratio": 0.861, "n_units": 50, "event": "movement onset"}
    return xr.DataArray(
        places,
        dims=("stimulus", "time", "axis"),
        coords={"time": TIMES, "stimulus": [f"c{k}" for k in range(n)]},
        attrs=facts | {"simulated": 0} | attrs,
    )


def said(figure: Figure) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text))


def test_each_condition_is_a_line_from_its_dot_to_its_arrow():
    given = plane()
    (axes,) = jpc_planes({"M1": given}).axes
    lines = [line for line in axes.lines if len(line.get_xdata()) > 1]
    assert len(lines) == 5
    for line, expected in zip(lines, given.values, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), expected)
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal([dot.get_xydata()[0] for dot in dots], given.values[:, 0])
    arrows = [each for each in axes.texts if isinstance(each, Annotation) and each.arrow_patch is not None]
    assert [arrow.xy for arrow in arrows] == [tuple(places[-1]) for places in given.values]
    assert [arrow.xyann for arrow in arrows] == [tuple(places[-2]) for places in given.values]


def test_colours_go_from_dark_left_to_light_right():
    (axes,) = jpc_planes({"M1": plane()}).axes
    lines = [line for line in axes.lines if len(line.get_xdata()) > 1]
    brightness = [sum(line.get_color()[:3]) for line in lines]  # the first starts on the right
    assert brightness == sorted(brightness, reverse=True) and lines[-1].get_color() == COLOURS(0.0)


def test_model_and_brain_stand_side_by_side_with_their_facts():
    figure = jpc_planes({"model": plane(8, n_units=128, simulated=1), "M1": plane(p=0.012)})
    assert len(figure.axes) == 2
    left, right = (axes.get_position() for axes in figure.axes)
    assert left.y0 == right.y0 and left.x1 < right.x0
    words = said(figure)
    for fact in (
        "8 conditions, 128 units, −50 to 350 ms from movement onset",
        "5 conditions, 50 units",
        "1.27 Hz, 24 % of the variance; R² skew / free 0.86",
        "0.86, p = 0.012",
        "share of surrogates",
    ):
        assert fact in words
    assert words.count("SIMULATED") == 1
    assert "SIMULATED" not in said(jpc_planes({"M1": plane()}))
    assert "surrogates" not in said(jpc_planes({"M1": plane()}))


def test_both_axes_are_on_one_scale_and_all_points_inside():
    figure = jpc_planes({"model": plane(), "M1": plane() * 3 + 1})
    figure.draw_without_rendering()
    for axes in figure.axes:
        across, up = np.diff(axes.transData.transform([(0, 0), (1, 1)]), axis=0)[0]
        assert across == pytest.approx(up)
        points = np.concatenate([line.get_xydata() for line in axes.lines])
        for low, high, values in zip(
            *zip(axes.get_xlim(), axes.get_ylim(), strict=True), points.T, strict=True
        ):
            assert low < values.min() and values.max() < high


@pytest.mark.parametrize("n", [1, 2, 4])
def test_no_words_leave_the_figure_or_are_below_six_points(n):
    figure = jpc_planes({f"population {k}": plane(p=0.001, simulated=k % 2) for k in range(n)})
    figure.draw_without_rendering()
    texts = [*figure.texts, *figure.legends[0].get_texts()]
    for axes in figure.axes:
        texts += [*axes.texts, axes.xaxis.label, axes.yaxis.label]
    texts = [text for text in texts if text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 6
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1


def test_saving_writes_the_same_bytes_and_leaves_the_planes_as_they_were(tmp_path):
    given = {"M1": plane()}
    for folder in ("first", "second"):
        jpc_planes(given, tmp_path / folder / "planes.pdf")
    assert (tmp_path / "first" / "planes.png").read_bytes() == (tmp_path / "second" / "planes.png").read_bytes()
    xr.testing.assert_identical(given["M1"], plane())


def test_the_order_of_dimensions_does_not_matter():
    figure = jpc_planes({"M1": plane().transpose("axis", "time", "stimulus")})
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 1]
    np.testing.assert_array_equal([line.get_xydata() for line in lines], plane().values)


def test_planes_that_cannot_be_drawn_say_why():
    with pytest.raises(BrainalignError, match="There is no plane to draw"):
        jpc_planes({})
    with pytest.raises(BrainalignError, match="The plane of 'M1' has the dimensions .*expected stimulus, time"):
        jpc_planes({"M1": plane().rename(stimulus="trial")})
    with pytest.raises(BrainalignError, match="two axes and the coordinate time"):
        jpc_planes({"M1": plane().isel(axis=[0])})
    bare = plane()
    del bare.attrs["share"], bare.attrs["event"]
    with pytest.raises(BrainalignError, match="'M1' lacks the attributes share, event"):
        jpc_planes({"M1": bare})
    with pytest.raises(BrainalignError, match="'M1' holds NaN"):
        jpc_planes({"M1": plane().where(plane().time > 0)})
