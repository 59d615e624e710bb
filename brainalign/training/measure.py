"""How well a network does its task: loss, accuracy, and accuracy of each category."""

from collections.abc import Iterable

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifierCV
from torch import Tensor, nn

from brainalign.tasks.penalised_autoencoding import last_linear_input
from brainalign.tasks.task import Batch, Task

ALPHAS = np.logspace(-3, 5, 17)
READ_OUT_ON = 3000
"""Images at most that a read-out learns from where features are more: it costs the cube of the fewer."""
NAN = float("nan")


@torch.no_grad()
def measure(network: nn.Module, task: Task, batches: Iterable[Batch]) -> dict[str, float]:
    """Give the mean cost of the outputs, the accuracy, that of each category, and what else the task measures.

    The cost is without its weight over the steps. Accuracy is NaN where the task knows no right answer.
    """
    costs, right, labels = [], [], []
    further: dict[str, list[Tensor]] = {}
    for batch in batches:
        outputs = task.rollout(network, batch)
        costs.append(task.cost(outputs, batch).double())
        for name, each in task.further(outputs, batch).items():
            further.setdefault(name, []).append(each.double())
        correct = task.correct(outputs, batch)
        if correct is not None:
            right.append(correct.double())
            labels.append(batch.labels)
    row = {"loss": float(torch.cat(costs).mean()), "accuracy": NAN}
    if right:
        all_right = torch.cat(right)
        row["accuracy"] = float(all_right.mean())
        if task.categories and all(each is not None for each in labels):
            row |= _by_category(all_right, torch.cat(labels), task.categories)
    return row | {name: float(torch.cat(each).mean()) for name, each in further.items()}


def _by_category(right: Tensor, labels: Tensor, categories: tuple[str, ...]) -> dict[str, float]:
    return {
        f"accuracy.{category}": float(right[labels == number].mean()) if (labels == number).any() else NAN
        for number, category in enumerate(categories)
    }


def readout_accuracy(
    network: nn.Module, train: Iterable[Batch], test: Iterable[Batch], categories: tuple[str, ...]
) -> dict[str, float]:
    """Fit a linear read-out of the categories apart from the network, and give its accuracy on other images.

    Ridge regression onto ±1 from what enters the network's last linear map, the penalty chosen by leave-one-out
    (scikit-learn's ``RidgeClassifierCV``). For tasks and rules that do not learn categories by themselves.
    Of more than `READ_OUT_ON` features, as many images at most are fitted.
    """
    seen, seen_labels = _features(network, train)
    if min(seen.shape) > READ_OUT_ON:
        seen, seen_labels = seen[:READ_OUT_ON], seen_labels[:READ_OUT_ON]
    seen = seen.astype(np.float64)
    if not np.isfinite(seen).all():
        return {"readout_accuracy": NAN}
    new, new_labels = _features(network, test)
    mean, deviation = seen.mean(0), seen.std(0)
    deviation[deviation == 0] = 1
    fitted = RidgeClassifierCV(ALPHAS).fit((seen - mean) / deviation, seen_labels)
    right = torch.from_numpy(fitted.predict((new - mean) / deviation) == new_labels).double()
    row = {"readout_accuracy": float(right.mean())}
    by_category = _by_category(right, torch.from_numpy(new_labels), categories)
    return row | {f"readout_{name}": value for name, value in by_category.items()}


@torch.no_grad()
def _features(network: nn.Module, batches: Iterable[Batch]) -> tuple[np.ndarray, np.ndarray]:
    features, labels = [], []
    for batch in batches:
        with last_linear_input(network) as inputs:
            network(batch.inputs)
        features.append(inputs[-1].flatten(1).cpu())
        labels.append(batch.labels)
    return torch.cat(features).numpy(), torch.cat(labels).cpu().numpy()
