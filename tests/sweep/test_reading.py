"""An experiment file's faults: all at once, each with its line and the way out."""

import pytest

from brainalign.sweep import ExperimentError, read_experiment
from brainalign.sweep.reading import parse_experiment

GOOD = """name = "good"
networks = ["mlp:hidden=20"]
tasks = ["classification"]
rules = ["backprop", "feedback-alignment"]
recordings = ["simulated"]
metrics = ["rsa"]
steps = 30
"""

TEN_FAULTS = """name = "faulty"
networks = ["mlp", "convnt"]
tasks = ["klassification:digits"]
rules = ["backprop", "feedbackalignment"]
seeds = [0, -1]
step = 100
checkpoints = 1
recordings = ["simulatd"]
metrics = ["rsa", "rigde"]
resamples = "many"
controls = 3
"""


def test_names_are_brought_to_the_spelling_of_the_table():
    experiment = parse_experiment(GOOD, "good.toml")
    assert experiment.tasks == ["classification:digits"]
    assert list(experiment.rule_settings()) == ["backprop", "feedback_alignment"]


def test_ten_faults_are_reported_as_ten():
    with pytest.raises(ExperimentError) as caught:
        parse_experiment(TEN_FAULTS, "faulty.toml")
    faults = caught.value.faults
    assert len(faults) == 10
    assert [int(fault.split(":")[1]) for fault in faults] == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    wanted = ["convnet", "classification", "feedback_alignment", "0", "steps", "2"]
    wanted += ["simulated", "ridge", "integer", "boolean"]
    for fault, word in zip(faults, wanted, strict=True):
        assert word in fault
    assert "10 faults" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("epochs = 3", "`steps` and `epochs`"),
        ("seeds = [1, 1]", "named twice: 1"),
        ("layer_costs = ['x']", "layer_costs"),
        ("[search]\nrates = [0.1]\nsteps = 3", "search.validation"),
        ("[search]\nrates = [0.1, 0.2]\nsteps = 3\nvalidation = 9\nseed = [1]", "Did you mean 'seeds'"),
    ],
)
def test_a_fault_that_a_line_adds(line, message):
    with pytest.raises(ExperimentError, match=message):
        parse_experiment(GOOD + line + "\n", "good.toml")


def test_rules_as_tables():
    text = GOOD.replace('rules = ["backprop", "feedback-alignment"]\n', "")
    text += "[rules.backprop]\nlr = 0.1\n[rules.feedback_alignment]\n"
    experiment = parse_experiment(text, "good.toml")
    assert experiment.rule_settings()["backprop"].lr == 0.1
    assert experiment.rule_settings()["feedback_alignment"].lr is None
    with pytest.raises(ExperimentError, match=r"good.toml:8: .*rate.*Did you mean 'lr'|good.toml:8: "):
        parse_experiment(text.replace("lr = 0.1", "lrate = 0.1"), "good.toml")


def test_a_rule_that_cannot_train_a_network_is_a_fault_with_its_line():
    text = GOOD.replace("mlp:hidden=20", "torchvision:resnet18")
    with pytest.raises(ExperimentError, match=r"good.toml:4: feedback_alignment on torchvision:resnet18"):
        parse_experiment(text, "good.toml")


def test_a_file_that_may_change_is_no_recording_of_an_experiment():
    text = GOOD.replace('["simulated"]', '["session.nwb:after=0.4"]')
    with pytest.raises(ExperimentError, match=r"good.toml:5: .*give it a card with its checksum"):
        parse_experiment(text, "good.toml")


def test_no_toml_and_no_file(tmp_path):
    with pytest.raises(ExperimentError, match="no TOML"):
        parse_experiment("name = ", "bad.toml")
    with pytest.raises(ExperimentError, match="cannot be read"):
        read_experiment(tmp_path / "none.toml")
