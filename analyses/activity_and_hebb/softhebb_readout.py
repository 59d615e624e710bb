"""SoftHebb's read-out on CIFAR-10 as published, after training and after none.

``python analyses/activity_and_hebb/softhebb_readout.py --out runs``, after ``train.py cifar10 --out runs``

All 50 000 training images pass each trained network once; a linear read-out learns from what enters the last
layer, for 50 epochs in batches of 64 by Adam, with a dropout of 0.5 and a rate of 1e-3 that is halved seven
times (Journé et al. 2023, and github.com/NeuromorphicComputing/SoftHebb), and is tested on all 10 000 test
images. The control is the random start of each seed, shown the first of the same batches: its statistics are
those of the last few, as the trained network's are.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

import brainalign as ba
from brainalign.tasks import Task, find_task
from brainalign.tasks.penalised_autoencoding import last_linear_input
from brainalign.training import Run

TASK, STEPS = "classification:cifar10,batch_size=10", 5000
NOTHING, CONTROL_STEPS = 1e-30, 500
"""Rate at which the control learns, and for how long."""
EPOCHS, BATCH, HALVED = 50, 64, (10, 17, 25, 30, 35, 40, 45)
"""Epochs of the read-out, its batches, and the epochs at which its rate is halved."""
EVALUATE_ON = 100
"""Images that the control's checkpoints are measured on, which nothing here needs."""
HERE = Path(__file__).parent


def main() -> None:
    """Fit the read-out of every seed's run and control, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    folder = parser.parse_args().out / "cifar10"
    file = HERE / "softhebb.cifar10.csv"
    rows = pd.read_csv(file).to_dict("records") if file.exists() else []
    chosen = pd.read_csv(HERE / "training.cifar10.csv").query("rule == 'softhebb'")
    for (network, seed, rate), _ in chosen.groupby(["network", "seed", "lr"]):
        for lr, steps in ((rate, STEPS), (NOTHING, CONTROL_STEPS)):
            if any((row["network"], row["seed"], row["lr"]) == (network, seed, lr) for row in rows):
                continue
            path = folder / f"softhebb_{lr:g}_{seed}"
            if lr == NOTHING:
                ba.train(
                    network,
                    TASK,
                    "softhebb",
                    seed=int(seed),
                    steps=steps,
                    lr=lr,
                    checkpoints=[0, steps],
                    evaluate_on=EVALUATE_ON,
                    out=path,
                )
            accuracy = read_out(Run.open(path).load(steps), find_task(TASK), int(seed))
            rows.append(
                {"network": network, "seed": seed, "lr": lr, "trained": lr != NOTHING, "accuracy": accuracy}
            )
            pd.DataFrame(rows).to_csv(file, index=False, float_format="%.6g")
            print(rows[-1], flush=True)


def read_out(network: nn.Module, task: Task, seed: int) -> float:
    """Train a linear read-out on all images, and give its accuracy on those held out."""
    seen, seen_labels = features(network, task, held_out=False)
    new, new_labels = features(network, task, held_out=True)
    torch.manual_seed(seed)
    head = nn.Linear(seen.shape[1], len(task.categories))
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, HALVED, gamma=0.5)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(seen)).split(BATCH):
            optimizer.zero_grad()
            outputs = head(nn.functional.dropout(seen[chosen].float(), 0.5))
            nn.functional.cross_entropy(outputs, seen_labels[chosen]).backward()
            optimizer.step()
        schedule.step()
    with torch.no_grad():
        right = [head(part.float()).argmax(1) for part in new.split(1000)]
    return float((torch.cat(right) == new_labels).float().mean())


@torch.no_grad()
def features(network: nn.Module, task: Task, held_out: bool) -> tuple[Tensor, Tensor]:
    """Give what enters the last layer, in half precision, and the labels."""
    found, labels = [], []
    for batch in task.labelled(held_out):
        with last_linear_input(network) as inputs:
            network(batch.inputs)
        found.append(inputs[-1].flatten(1).half())
        labels.append(batch.labels)
    assert np.isfinite(float(found[0].abs().max()))
    return torch.cat(found), torch.cat(labels)


if __name__ == "__main__":
    main()
