"""Processes that are killed, run out of disk, or store at the same time."""

import json
import signal

import numpy as np
import pytest

from brainalign.probing import Representation
from brainalign.probing.cache import cached_outputs, store_outputs

CHILD = """
import os, signal, sys
from pathlib import Path
import numpy as np
from brainalign.probing import Representation
from brainalign.probing.cache import cached_outputs, store_outputs
layer = Representation.from_features(np.eye(20), [str(i) for i in range(20)], "conv")
"""


KILLED = (
    CHILD
    + """
def half(self, content):
    with self.open("wb") as file:
        file.write(content[: len(content) // 2])
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
Path.write_bytes = half
store_outputs("ab" * 32, {"conv": [layer]})
"""
)


FULL = (
    CHILD
    + """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
store_outputs("ab" * 32, {"conv": [layer]})
print("went on")
"""
)


RIVAL = (
    CHILD
    + """
print("ready", flush=True)
sys.stdin.readline()
for _ in range(60):
    store_outputs("ab" * 32, {"conv": [layer]})
    (found,) = cached_outputs("ab" * 32, "conv", layer.stimuli)
    assert found.gram.tobytes() == layer.gram.tobytes()
print("done")
"""
)


IDS = [str(i) for i in range(20)]


def test_killed_in_the_middle_of_writing(cache, stored, start):
    child = start(KILLED)
    child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL
    (left,) = stored()
    assert left.name.startswith(".part-")
    assert left.stat().st_size > 100
    assert cached_outputs("ab" * 32, "conv", IDS) is None
    layer = Representation.from_features(np.eye(20), IDS, "conv")
    store_outputs("ab" * 32, {"conv": [layer]})
    (found,) = cached_outputs("ab" * 32, "conv", IDS)
    assert found.gram.tobytes() == layer.gram.tobytes()


def test_a_disk_that_fills_in_the_middle_of_writing(cache, stored, start):
    child = start(FULL)
    out, err = child.communicate(timeout=120)
    assert out == "went on\n"
    assert "the cache cannot be written" in err
    assert not stored()


def test_processes_that_store_the_same_at_once(cache, stored, start):
    children = [start(RIVAL) for _ in range(2)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        out, err = child.communicate(timeout=120)
        assert (out, err, child.returncode) == ("done\n", "", 0)
    (file,) = stored()
    assert not file.name.startswith(".part-")


EDITED = """
from torch import nn

class Edited(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Identity()

    def forward(self, x):
        return self.inner(x * GAIN)
"""


SCORE = """
import json, sys
import numpy as np
from edited import Edited
from brainalign.data.stimuli import StimulusSet
from brainalign.networks import Preprocessing
from brainalign.probing import probe

batches = []
original = Preprocessing.standardised
Preprocessing.standardised = lambda self, pixels: batches.append(len(pixels)) or original(self, pixels)
stimuli = StimulusSet.from_ids(["a", "b"], [np.full((4, 4, 3), value, np.uint8) for value in (9, 99)])
layer = probe(Edited(), stimuli, preprocessing=Preprocessing(4))["inner"]
print(json.dumps([layer.gram.trace(), len(batches)]))
"""


def test_another_process_reads_it_until_the_source_file_is_edited(tmp_path, monkeypatch, start):
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for gain in (1, 1, 2):
        (tmp_path / "edited.py").write_text(EDITED.replace("GAIN", str(gain)))
        child = start(SCORE)
        out, err = child.communicate(timeout=120)
        assert child.returncode == 0, err
        found.append(json.loads(out))
    traces, batches = zip(*found, strict=True)
    assert batches == (2, 0, 2)
    assert traces[0] == traces[1] == pytest.approx(traces[2] / 4)
