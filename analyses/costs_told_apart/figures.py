"""The committed tables and figure, from the folders that ``brainalign run`` left for the three files.

``python analyses/costs_told_apart/figures.py costs_told_apart``
"""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import brainalign as ba
from brainalign.compare.candidates import Candidate
from brainalign.compare.committed import CommittedRegion
from brainalign.compare.differences import Entry
from brainalign.compare.resampling import interval, welch_satterthwaite
from brainalign.figures.style import COLOURS, FAINT, TWO_COLUMNS, in_style, save
from brainalign.trajectory.cost_table import cost_table
from brainalign.trajectory.told_apart import ALIKE, TIE, cost_effects, costs_told_apart

HERE = Path(__file__).parent
RECORDINGS = {"cowley2023/210325": "ridge", "kriegeskorte2008": "rsa", "cichy2014": "rsa"}
PARTS = {"one_cost": "", "layer_costs": "differs by layer", "schedule": "scheduled"}
COSTS = {
    "classification:cifar10": "classification",
    "rotation:cifar10": "rotation",
    "contrastive:cifar10": "contrastive",
    "autoencoding:cifar10": "autoencoding",
    "autoencoding:cifar10,variant=denoising": "denoising",
    "autoencoding:cifar10,variant=variational": "variational",
}
ORDER = [*COSTS.values(), "differs by layer", "scheduled"]
UNTRAINED, PIXELS = "untrained", "pixels"
SEEDS, LABELS = 3, 4  # untrained networks of 4 × 3 seeds pass for four costs, in which nothing is to be found


def main() -> None:
    """Score the last checkpoints and the controls, test, and draw."""
    folder = Path(sys.argv[1])
    networks = trained(folder)
    regions = [region for name, metric in RECORDINGS.items() for region in committed(networks, name, metric)]
    table = scores(regions)
    pairs = costs_told_apart([only_seeds(region) for region in regions])
    effects = all_effects(regions)
    found = {"scores": table, "pairs": pairs, "effects": effects, "training": training(folder)}
    for name, each in found.items():
        each.to_csv(HERE / f"{name}.csv", index=False, float_format="%.6g")
    draw(table, pairs, effects)
    print(table.pivot(index="cost", columns="region", values="raw").round(3).to_string())
    print(effects.to_string(), counts(pairs).to_string(), sep="\n")


def trained(folder: Path) -> list[Candidate]:
    """Give the last checkpoint of each run, named by its cost, and the controls."""
    found = []
    for part, name in PARTS.items():
        lasts = [ba.Run.open(path).checkpoints()[-1] for path in sorted((folder / part / "runs").iterdir())]
        found += [Candidate(name or COSTS[last.task], last.seed, make=last.load) for last in lasts]
    found.sort(key=lambda each: (ORDER.index(each.name), each.seed))
    make = lasts[0].untrained
    found += [Candidate(UNTRAINED, seed, make=partial(make, seed)) for seed in range(SEEDS * LABELS)]
    return [*found, Candidate(PIXELS, source=PIXELS, image_size=32)]


def committed(networks: list[Candidate], recording: str, metric: str) -> list[CommittedRegion]:
    """Hold networks against a recording; judgements are no region."""
    evaluation = ba.evaluate(networks, recording, metric, layers="blocks.?", cache=False)
    return [region for region in evaluation.committed if region.region != "behaviour"]


def only_seeds(region: CommittedRegion) -> CommittedRegion:
    """Leave as many untrained networks as there are of each cost."""
    return replace(region, entries=tuple(entry for entry in region.entries if entry.seed < SEEDS))


def labelled(region: CommittedRegion) -> CommittedRegion:
    """Take untrained networks for networks of several costs."""
    found = [entry for entry in region.entries if entry.network == UNTRAINED]
    return replace(
        region, entries=tuple(Entry(f"label {each.seed // SEEDS}", each.seed, each.outcome) for each in found)
    )


def all_effects(regions: list[CommittedRegion]) -> pd.DataFrame:
    """Test all regions beyond a stretch, those of one metric beyond a shift, and the same on mere labels."""
    of_metric = [region for region in regions if region.metric == "rsa"]
    labels = [f"label {k}" for k in range(LABELS)]
    found = []
    for networks, costs, make in (("trained", ORDER, only_seeds), ("untrained, labelled", labels, labelled)):
        for alike in ALIKE:
            among = regions if alike == "stretch" else of_metric
            effects = cost_effects(cost_table([make(region) for region in among], costs), alike)
            found.append(effects.assign(networks=networks, among=", ".join(map(title, among))))
    return pd.concat(found, ignore_index=True)


def scores(regions: list[CommittedRegion]) -> pd.DataFrame:
    """Give each cost's mean over seeds in each region, with the 95 % interval over images and seeds."""
    rows = []
    for region in map(only_seeds, regions):
        for cost in dict.fromkeys(entry.network for entry in region.entries):
            outcomes = [entry.outcome for entry in region.entries if entry.network == cost]
            raw, n = np.array([outcome.raw for outcome in outcomes]), len(outcomes)
            parts = [region.resamples.variance(np.mean([each.replicates for each in outcomes], axis=0))]
            if n > 1:
                parts.append((float(raw.var(ddof=1) / n), n - 1.0))
            low, high = interval(raw.mean(), sum(v for v, _ in parts), welch_satterthwaite(parts))
            facts = {"recording": region.recording, "region": title(region), "metric": region.metric}
            facts |= {"n_stimuli": len(region.stimuli), "resampled": f"{region.resamples.unit}, seeds"}
            by_seed = " ".join(f"{each:.4f}" for each in raw)
            rows.append({"cost": cost, "raw": raw.mean(), "low": low, "high": high, "seeds": by_seed} | facts)
    return pd.DataFrame(rows)


def title(region: CommittedRegion) -> str:
    """Name a region so that the two recordings of human IT differ."""
    return f"{region.recording.partition('/')[0]} {region.region}"


def training(folder: Path) -> pd.DataFrame:
    """Give what each run had learned."""
    columns = ["cost", "seed", "step", "loss", "accuracy", "readout_accuracy"]
    found = []
    for part, name in PARTS.items():
        table = pd.read_csv(folder / part / "training.csv")
        found.append(table.assign(cost=name or table["task"].map(COSTS)))
    return pd.concat(found, ignore_index=True)[columns]


def counts(pairs: pd.DataFrame) -> pd.DataFrame:
    """Count the pairs of costs that each region tells apart, and costs that differ from no learning."""
    of_costs = pairs[pairs["network"].isin(ORDER) & pairs["other"].isin(ORDER)]
    untrained = pairs[pairs["network"].isin(ORDER) & (pairs["other"] == UNTRAINED)]
    keys = ["recording", "region"]
    return pd.DataFrame(
        {
            "told_apart": of_costs.groupby(keys)["verdict"].agg(lambda found: (found != TIE).sum()),
            "pairs": of_costs.groupby(keys)["verdict"].size(),
            "unlike_untrained": untrained.groupby(keys)["verdict"].agg(lambda found: (found != TIE).sum()),
        }
    )


def draw(table: pd.DataFrame, pairs: pd.DataFrame, effects: pd.DataFrame) -> None:
    """Draw a panel a region: costs, and pixels and untrained networks beside them."""
    names, apart = list(dict.fromkeys(table["region"])), counts(pairs)
    with in_style():
        figure, axes = plt.subplots(1, len(names), sharey=True, figsize=(TWO_COLUMNS / 25.4, 70 / 25.4))
        for name, axis in zip(names, axes, strict=True):
            rows = table[table["region"] == name].reset_index(drop=True)
            for place, row in rows.iterrows():
                colour = COLOURS[0] if row["cost"] in ORDER else FAINT
                axis.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1)
                axis.plot(row["raw"], place, "o", color=colour, markersize=4)
                seeds = [float(each) for each in row["seeds"].split()]
                axis.plot(seeds, [place + 0.25] * len(seeds), ".", color=colour, markersize=2)
            first = rows.iloc[0]
            found = apart.loc[(first["recording"], name.split()[1])]
            axis.set_title(
                f"{name.replace(' ', chr(10))}\n{found['told_apart']} of {found['pairs']} pairs apart"
            )
            axis.set_xlabel(f"{first['metric']}, n = {first['n_stimuli']} images")
            axis.set_yticks(range(len(rows)), rows["cost"])
        axes[0].invert_yaxis()
        interaction = effects[(effects["effect"] == "interaction") & (effects["alike"] == "stretch")]
        found = ", ".join(f"{row['networks']} p = {row['p']:.3g}" for _, row in interaction.iterrows())
        figure.text(
            0.01,
            0.01,
            f"Raw score at the committed layer, mean of {SEEDS} seeds (small dots), 95 % interval over images, "
            f"subjects where there are three, and seeds.\nCost × region beyond a stretch: {found}.",
            fontsize=6,
        )
        figure.tight_layout(rect=(0, 0.08, 1, 1))
    save(figure, HERE / "costs.pdf")


if __name__ == "__main__":
    main()
