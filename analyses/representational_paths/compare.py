"""The paths of the runs that ``train.py`` left, towards human IT and EVC, monkey IT and macaque V4.

``python analyses/representational_paths/compare.py runs`` (some minutes)
"""

import os
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
import xarray as xr

import brainalign as ba
from brainalign.figures.paths import path_plane
from brainalign.training import Run
from brainalign.trajectory.differentiation import differentiation, which_first
from brainalign.trajectory.embedding import in_plane
from brainalign.trajectory.path_divergence import rules_apart
from brainalign.trajectory.path_geometry import approach, distances_to_regions, path_lengths, steps_towards
from brainalign.trajectory.path_points import network_points
from brainalign.trajectory.paths import representational_paths
from brainalign.trajectory.second_order import find_space

HERE = Path(__file__).parent
LAYER = "blocks.3"  # the deepest, fixed in advance
RULES = ("backprop", "kolen_pollack", "feedback_alignment", "local_pred")
LEVELS = ["animate", "category"]


def main() -> None:
    """Measure the paths against each recording, and write tables and planes."""
    torch.set_num_threads(1)
    runs = [Run.open(each) for rule in RULES for each in sorted(Path(sys.argv[1]).glob(f"{rule}_[0-9]"))]
    tables: dict[str, list[pd.DataFrame]] = {}
    for recording, regions in recordings():
        paths = in_plane(representational_paths(runs, recording, LAYER, regions=regions))
        print({name: paths.attrs[name] for name in ("recording", "n_stimuli", "stress", "kept_distances")})
        path_plane(paths, HERE / f"{recording.name.partition('/')[0]}.pdf")
        for name, table in summaries(paths).items():
            tables.setdefault(name, []).append(table.assign(recording=recording.name))
    committed = representational_paths(
        runs, ba.load_recording("cichy2014"), "committed", regions=["IT"], commit_to="IT"
    )
    tables["approach"].append(approach(committed).assign(recording="cichy2014, other half of the images"))
    tables |= differentiated(runs)
    for name, found in tables.items():
        pd.concat(found).to_csv(HERE / f"{name}.csv", index=False, float_format="%.4g")


def recordings() -> list[tuple[ba.Recording, list[str]]]:
    """Give recordings and their regions; of macaque V4 every fourth image, which is as many as is cheap."""
    v4 = ba.load_recording("cowley2023/210325")
    fourth = {"V4": v4["V4"].isel(stimulus=slice(None, None, 4))}
    return [
        (ba.load_recording("cichy2014"), ["IT", "EVC"]),
        (ba.load_recording("kriegeskorte2008"), ["human_IT", "monkey_IT"]),
        (replace(v4, responses=fourth), ["V4"]),
    ]


def summaries(paths: xr.Dataset) -> dict[str, pd.DataFrame]:
    """Give what does not rest on the plane; cosines and lengths as means over seeds."""
    keys = ["rule", "checkpoint", "next", "region"]
    pairs = [rules_apart(paths, *pair) for pair in combinations(RULES, 2)]
    return {
        "distances": distances_to_regions(paths),
        "approach": approach(paths),
        "steps": steps_towards(paths).groupby(keys, sort=False)[["cosine", "by_chance"]].mean().reset_index(),
        "lengths": path_lengths(paths),
        "apart": pd.DataFrame([whole for _, whole in pairs]),
        "apart_by_step": pd.concat(
            [table.assign(rule=whole["rule"], other=whole["other"]) for table, whole in pairs]
        ),
    }


def differentiated(runs: list[Run]) -> dict[str, list[pd.DataFrame]]:
    """Follow how animate things part from others, and then categories from each other, rule by rule."""
    stimuli = ba.load_recording("kriegeskorte2008").stimuli
    curves, orders = [], []
    for rule in RULES:
        own = [run for run in runs if run.settings.rule == rule]
        points = network_points(own, stimuli, [LAYER], find_space("rsa")[1])
        rdms = np.stack([point.kept for point in points]).reshape(len(own), -1, len(points[0].kept))
        found = differentiation(rdms, own[0].steps, stimuli.metadata[LEVELS])
        curves.append(found.drop_vars("half_time").to_dataframe().reset_index().assign(rule=rule))
        orders.append(which_first(found).assign(rule=rule))
    return {"differentiation": curves, "which_first": orders}


if __name__ == "__main__":
    main()
