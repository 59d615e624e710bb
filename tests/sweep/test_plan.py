"""Plans: counts, keys that depend on content alone, and what a change leaves as it was."""

import time

import pytest

from brainalign.errors import BrainalignError
from brainalign.sweep import make_plan
from brainalign.sweep.reading import parse_experiment

TEXT = """name = "planned"
networks = ["mlp:hidden=20", "convnet"]
tasks = ["classification:digits"]
rules = ["backprop", "feedback_alignment", "untrained"]
seeds = [0, 1]
steps = 100
checkpoints = 5
recordings = ["simulated"]
metrics = ["rsa", "cka"]
"""


def planned(text: str = TEXT, rates=None):
    return make_plan(parse_experiment(text, "planned.toml"), rates)


def test_counts():
    plan = planned()
    assert len(plan.runs) == 2 * 3 * 2
    assert len(plan.scores) == len(plan.runs) * 5 + 2
    assert len({cell.key for cell in plan.cells}) == len(plan.cells)
    assert {cell.source for cell in plan.scores} == {"", "pixels:8", "gabor:32"}
    assert not planned(TEXT + "controls = false\n").scores[-1].source


def test_no_rate_is_searched_for_where_nothing_learns():
    plan = planned(TEXT + "[search]\nrates = [0.1, 0.01]\nsteps = 7\nvalidation = 100\n")
    assert {cell.rule for cell in plan.search} == {"backprop", "feedback_alignment"}
    assert {cell.rule for cell in plan.runs if cell.key} == {"untrained"}


def test_the_same_text_gives_the_same_keys():
    assert planned() == planned()


@pytest.mark.parametrize(
    ("old", "new", "runs_stay", "scores_stay"),
    [
        ("seeds = [0, 1]", "seeds = [0, 1, 2]", True, True),
        ('"planned"', '"renamed"', True, True),
        ('["rsa", "cka"]', '["rsa"]', True, False),
        ("steps = 100", "steps = 101", False, False),
    ],
)
def test_only_what_a_change_concerns_gets_new_keys(old, new, runs_stay, scores_stay):
    before, after = planned(), planned(TEXT.replace(old, new))
    for stay, kind in ((runs_stay, "runs"), (scores_stay, "scores")):
        keys = {cell.key for cell in getattr(before, kind) if getattr(cell, "run", "run")}
        kept = keys & {cell.key for cell in getattr(after, kind)}
        assert kept == (keys if stay else set())


FULL = """[full]
steps = [0, 100]
metrics = ["ridge"]
resamples = 100
"""


def test_some_checkpoints_and_the_controls_are_scored_in_full():
    plan = planned(TEXT + "resamples = 0\n" + FULL)
    assert {cell.step for cell in plan.scores if cell.resamples} == {-1, 0, 100}
    for cell in plan.scores:
        full = cell.step in (-1, 0, 100)
        assert cell.metrics == (("rsa", "cka", "ridge") if full else ("rsa", "cka"))
        assert cell.resamples == (100 if full else 0)
    assert len({cell.key for cell in plan.cells}) == len(plan.cells)


def test_full_steps_must_be_checkpoints():
    with pytest.raises(BrainalignError, match="names 50, 99; checkpoints of a run are at steps 0, 1, "):
        planned(TEXT + FULL.replace("[0, 100]", "[0, 50, 99]"))


def test_a_search_makes_runs_of_its_own_and_the_rest_waits():
    text = TEXT + "[search]\nrates = [0.1, 0.01]\nsteps = 7\nvalidation = 100\nseeds = [0, 1]\n"
    plan = planned(text)
    assert len(plan.search) == 4 * 2 * 2
    assert {cell.task for cell in plan.search} == {"classification:digits,validation=100"}
    assert plan.pending
    rates = {(c.network, "classification:digits", c.rule): 0.1 for c in plan.search}
    found = planned(text, rates)
    assert not found.pending
    assert {cell.lr for cell in found.runs if cell.rule != "untrained"} == {0.1}


def test_a_hundred_thousand_cells_are_planned_in_seconds():
    seeds = f"seeds = {list(range(700))}"
    experiment = parse_experiment(TEXT.replace("seeds = [0, 1]", seeds).replace("= 5", "= 24"), "big.toml")
    started = time.process_time()
    plan = make_plan(experiment)
    assert time.process_time() - started < 10
    assert len(plan.cells) == 700 * 6 * 25 + 2
