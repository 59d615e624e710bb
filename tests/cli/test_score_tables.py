"""What the table of differences says, and how."""

from io import StringIO

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from brainalign.cli import terminal
from brainalign.cli.score_tables import probability, show_differences
from brainalign.compare.comparison import Outcome
from brainalign.compare.differences import Entry, paired_differences
from brainalign.compare.resampling import Resamples


@pytest.fixture
def printed(monkeypatch) -> StringIO:
    stream = StringIO()
    monkeypatch.setattr(terminal, "output", Console(file=stream, width=150))
    return stream


def differences(advantages: dict[str, float]) -> pd.DataFrame:
    resamples = Resamples.draw(500, 40, 0, 0)
    entries = []
    for seed, (name, advantage) in enumerate(advantages.items()):
        values = advantage + 0.1 * np.random.default_rng(seed).normal(size=40)
        replicates = (resamples.stimuli @ values / 40)[None]
        nothing = np.empty((0, 501))
        entries.append(Entry(name, -1, Outcome(float(values.mean()), 0.0, replicates, nothing, nothing)))
    table = paired_differences(entries, resamples)
    return table.assign(recording="day", region="V4", metric="rsa")


def test_differences_come_with_p_alone_and_corrected(printed):
    table = differences({"a": 0.3, "b": 0.0, "c": 0.31})
    show_differences(table, simulated=True)
    text = printed.getvalue()
    assert "SIMULATED · Paired differences · day · V4 · rsa" in text
    lines = {line.split("  ")[0].strip(): line for line in text.splitlines() if " − " in line}
    assert lines["a − b"].split()[-1] == "yes" and "<0.001" in lines["a − b"]
    assert lines["b − c"].split()[-1] == "worse"
    assert lines["a − c"].split()[-1] == "no"
    even = table[(table["network"] == "a") & (table["other"] == "c")].iloc[0]
    assert lines["a − c"].split()[-3:-1] == [f"{even['p']:.3f}", f"{even['p_holm']:.3f}"]
    assert "corrected for the 3 pairs of this table" in " ".join(text.split())


def test_a_difference_without_a_value_has_a_dash(printed):
    show_differences(differences({"a": 0.3, "b": np.nan}), simulated=False)
    line = next(line for line in printed.getvalue().splitlines() if " − " in line)
    assert line.split()[3:] == ["—", "[—,", "—]", "—", "—", "no"]


@pytest.mark.parametrize(("p", "text"), [(0.05, "0.050"), (0.0009, "<0.001"), (0.0, "<0.001"), (1.0, "1.000")])
def test_p_is_written_to_three_decimals(p, text):
    assert probability(p) == text
