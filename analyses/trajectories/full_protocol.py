"""Holds the trajectories' cheap ridge protocol against the full one, at three checkpoints of a run a rule.

``python analyses/trajectories/full_protocol.py FOLDER`` (FOLDER: what ``brainalign run`` left)

Cheap: one fixed 90/10 split, eleven penalties. Full: ten splits, 41 penalties, 95 % intervals over
resampled stimuli. Both on the same day, every layer; writes ``protocol.csv`` beside itself.
"""

import sys
import tomllib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
from scipy.stats import pearsonr, spearmanr
from threadpoolctl import threadpool_limits

import brainalign as ba
from brainalign.training import Run

HERE = Path(__file__).parent
RECORDING = "cowley2023/210325"
CHEAP, FULL = "ridge:n_alphas=11,n_splits=1", "ridge"
STEPS = (0, 158, 2340)
SEED = 0


def main() -> None:
    """Score, and say how far the two agree."""
    runs = sorted(Path(sys.argv[1]).glob("runs/*/run.toml"))
    found = [(tomllib.loads(file.read_text()), file.parent) for file in runs]
    wanted = [folder for made, folder in found if made["seed"] == SEED and made["steps"] == STEPS[-1]]
    with ProcessPoolExecutor(2) as pool:
        table = pd.concat(pool.map(both, wanted), ignore_index=True)
    table.to_csv(HERE / "protocol.csv", index=False, float_format="%.4g")
    inside = table["cheap"].between(table["low"], table["high"])
    correlations = [each(table["cheap"], table["full"])[0] for each in (pearsonr, spearmanr)]
    print(f"{len(table)} layers at checkpoints: Pearson {correlations[0]:.3f}, Spearman {correlations[1]:.3f}")
    print(f"share of cheap values within the full interval: {inside.mean():.2f}")
    rule = table.pivot_table(index=["rule", "layer"], columns="checkpoint", values=["cheap", "full"])
    change = rule.xs(STEPS[-1], axis=1, level=1) - rule.xs(STEPS[0], axis=1, level=1)
    print(f"changes over training: Pearson {pearsonr(change['cheap'], change['full'])[0]:.3f}")
    print((change["cheap"] - change["full"]).describe().round(3).to_string())


def both(folder: Path) -> pd.DataFrame:
    """Score a run's checkpoints by both protocols."""
    with threadpool_limits(1):
        networks = Run.open(folder).checkpoints(STEPS)
        scores = ba.score(networks, RECORDING, [CHEAP, FULL], n_resamples=100, cache=False)
    rows = scores.to_dataframe().query("layer != 'committed'")
    keys = ["rule", "seed", "checkpoint", "layer"]
    cheap = rows[rows["metric"] == CHEAP].set_index(keys)["raw"].rename("cheap")
    full = rows[rows["metric"] == FULL].set_index(keys)[["raw", "low", "high"]].rename(columns={"raw": "full"})
    return full.join(cheap).reset_index()


if __name__ == "__main__":
    main()
