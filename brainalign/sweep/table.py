"""The tables that a folder ends with: the same bytes whatever happened on the way."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import xarray as xr

from brainalign.compare.condition_rows import RECORDING
from brainalign.compare.scores import make_scores, versions
from brainalign.data.cards import find_card
from brainalign.files import sha256_of, written_whole
from brainalign.metrics import find_metric
from brainalign.sweep.cells import COLUMNS, empty_row
from brainalign.sweep.experiment import Experiment
from brainalign.sweep.plan import Plan
from brainalign.sweep.store import Store

ORDER = ["recording", "task", "network", "rule", "seed", "checkpoint", "region", "subject", "metric"]
"""What rows are sorted by; layers of a network stay as they follow each other in it."""

DIGITS = "%.6g"
MANIFEST = "tables.json"


@dataclass(frozen=True)
class Tables:
    """Writes the tables of a plan.

    Parameters
    ----------
    experiment, plan
        What was done.
    store
        Where results lie.
    failures
        Errors by key.
    search
        What the search for learning rates has found.
    """

    experiment: Experiment
    plan: Plan
    store: Store
    failures: Mapping[str, str]
    search: pd.DataFrame

    def write(self, digests: Mapping[str, str]) -> bool:
        """Write ``scores.nc``, ``scores.csv``, ``training.csv`` and ``search.csv``.

        Returns
        -------
        bool
            False where they are there already, of these very results.
        """
        folder, wanted = self.store.folder, self._fingerprint(digests)
        if _is_written(folder, wanted):
            return False
        scores = self.scores()
        with written_whole(folder / "scores.nc") as temporary:
            scores.to_netcdf(temporary, engine="h5netcdf")
        tables = {"scores.csv": scores.to_dataframe().reset_index(drop=True), "training.csv": self.training()}
        if len(self.search):
            tables["search.csv"] = self.search
        for name, table in tables.items():
            with written_whole(folder / name) as temporary:
                table.to_csv(temporary, index=False, float_format=DIGITS, lineterminator="\n")
        files = {name: sha256_of(folder / name) for name in ("scores.nc", *tables)}
        with written_whole(folder / MANIFEST) as temporary:
            temporary.write_text(
                json.dumps({"results": wanted, "files": files, "written_by": versions()}, indent=1) + "\n"
            )
        return True

    def scores(self) -> xr.Dataset:
        """Put the rows of all scored cells together; one that failed has a row with its error."""
        columns: dict[str, list] = {name: [] for name in COLUMNS}
        stimuli: dict[str, str] = {}
        for cell in self.plan.scores:
            stored = self.store.read(cell.key) if cell.key else None
            if stored is None:
                error = self.failures.get(cell.key) or "not done: no learning rate could be chosen"
                row = empty_row(cell, f"failed: {error}")
                rows = [[row[name] for name in COLUMNS]]
            else:
                rows = stored["rows"]
                stimuli[cell.recording] = stored["stimuli"]
            for name, values in zip(COLUMNS, zip(*rows, strict=True), strict=True):
                columns[name] += values
        frame = pd.DataFrame(columns).sort_values(ORDER, kind="stable", ignore_index=True)
        # What a recording says of itself comes with every network.
        again = frame["network"].eq(RECORDING) & frame.duplicated([*ORDER, "layer"])
        rows = [row for row, seen in zip(frame.to_dict("records"), again, strict=True) if not seen]
        return make_scores(rows, self._attributes(stimuli))

    def training(self) -> pd.DataFrame:
        """Put the tables of all runs together."""
        frames = []
        for cell in self.plan.runs:
            stored = self.store.read(cell.key) if cell.key else None
            if stored is not None:
                table = pd.DataFrame(stored["rows"], columns=stored["columns"])
                labels = {"network": cell.network, "task": cell.task, "rule": cell.rule, "seed": cell.seed}
                for place, (name, value) in enumerate(labels.items()):
                    table.insert(place, name, value)
                frames.append(table)
        if not frames:
            return pd.DataFrame(columns=["network", "task", "rule", "seed", "step"])
        return pd.concat(frames, ignore_index=True).sort_values(
            ["network", "task", "rule", "seed", "step"], kind="stable", ignore_index=True
        )

    def _attributes(self, stimuli: Mapping[str, str]) -> dict[str, object]:
        cards = {name: find_card(name)[0].provenance for name in self.experiment.recordings}
        named = [self.experiment.metrics_of(recording, True) for recording in self.experiment.recordings]
        metrics = [find_metric(name) for name in dict.fromkeys(sum(named, []))]
        return {
            "title": f"Scores of the experiment {self.experiment.name}",
            "interval": _interval_in_words(self.experiment),
            "seed": 0,
            "reduction": "whole",
            "simulated": int(any(card.simulated for card in cards.values())),
            "metric_labels": json.dumps({metric.name: metric.label for metric in metrics}),
            "metric_citations": json.dumps({metric.name: metric.citation for metric in metrics}),
            "citations": json.dumps({name: card.citation for name, card in cards.items()}),
            "licences": json.dumps({name: card.licence for name, card in cards.items()}),
            "stimuli": json.dumps(dict(sorted(stimuli.items()))),
            "failed": len(self.failures),
            "versions": _releases(),
        }

    def _fingerprint(self, digests: Mapping[str, str]) -> str:
        """Hash all that the tables are made of."""
        total = hashlib.sha256(_releases().encode())
        for cell in self.plan.runs + self.plan.scores:
            result = digests.get(cell.key) or self.failures.get(cell.key, "none")
            total.update(f"{cell.key} {result}\n".encode())
        total.update(self.search.to_csv(index=False).encode() + self.experiment.model_dump_json().encode())
        return total.hexdigest()


def _releases() -> str:
    """Give the versions without the commit: several calls may have had a hand in one table."""
    return json.dumps({name: text for name, text in json.loads(versions()).items() if name != "commit"})


def _is_written(folder: Path, wanted: str) -> bool:
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        files = manifest["files"]
        return manifest["results"] == wanted and all(
            (folder / name).is_file() and sha256_of(folder / name) == digest for name, digest in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _interval_in_words(experiment: Experiment) -> str:
    words = "95 % t-interval of raw from {} resamples"
    if experiment.full is None:
        return words.format(experiment.resamples) if experiment.resamples else "none"
    steps = ", ".join(map(str, experiment.full.steps))
    elsewhere = words.format(experiment.resamples) if experiment.resamples else "none"
    return f"{words.format(experiment.full.resamples)} at steps {steps} and of controls; elsewhere {elsewhere}"
