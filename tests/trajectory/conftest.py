"""Small runs on the digits, trained once for all tests."""

import pytest

from brainalign.tasks import find_task
from brainalign.training import Run, train
from brainalign.trajectory.retargeted import permuted_targets

TASK = "classification:digits,batch_size=64"
STEPS = {"backprop": 500, "feedback_alignment": 200, "pepita": 200, "untrained": 200}
RATES = {"backprop": 0.1, "feedback_alignment": 0.03, "pepita": 0.1, "untrained": 0.1}


@pytest.fixture(scope="session")
def digits_runs(tmp_path_factory) -> dict[str, Run]:
    """Runs by their rule; and ``permuted``, backprop on targets that say nothing of the images."""
    folder = tmp_path_factory.mktemp("digits_runs")
    options = {"checkpoints": 4, "evaluate_on": 100, "progress": False}
    runs = {
        rule: train("mlp:hidden=32", TASK, rule, lr=lr, steps=STEPS[rule], out=folder / rule, **options)
        for rule, lr in RATES.items()
    }
    task = permuted_targets(find_task(TASK))
    return runs | {
        "permuted": train("mlp:hidden=32", task, lr=0.1, steps=200, out=folder / "permuted", **options)
    }
