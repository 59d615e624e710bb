"""Recordings: regions, and stimuli that must be known."""

import numpy as np
import pandas as pd
import pytest

from brainalign.data.recording import Provenance, Recording
from brainalign.data.responses import make_rdms, make_responses
from brainalign.data.stimuli import StimulusSet
from brainalign.errors import AlignmentError, NeedsError, ResponsesError, UnknownNameError

IDS = ["a", "b", "c"]
V4 = make_responses(np.arange(6.0).reshape(3, 2), IDS, region="V4")
IT = make_rdms(np.array([[1.0, 2, 3]]), IDS, ["s"])
STIMULI = StimulusSet.from_ids(["c", "b", "a", "d"])


def test_regions_of_both_kinds():
    recording = Recording("lab", STIMULI, {"V4": V4}, {"IT": IT})
    assert recording.regions == ["V4", "IT"]
    assert recording["V4"] is V4
    assert recording["IT"] is IT
    assert recording.provenance == Provenance()


def test_one_region_alone():
    recording = Recording("lab", STIMULI, {"V4": V4}, {"IT": IT}, provenance=Provenance("macaque"))
    assert recording.only("V4").regions == ["V4"]
    assert recording.only("IT").regions == ["IT"]
    assert recording.only("IT").rdms["IT"] is IT
    assert recording.only("IT").provenance.species == "macaque"
    assert recording.regions == ["V4", "IT"]


def test_is_shown_in_one_line():
    recording = Recording("lab", STIMULI, {"V4": V4}, {"IT": IT}, provenance=Provenance(simulated=True))
    expected = "V4 (3 stimulus, 2 unit); IT (1 subject, 3 stimulus, 3 other_stimulus)"
    assert repr(recording) == f"<SIMULATED Recording 'lab': {expected}>"
    assert repr(STIMULI) == "<StimulusSet 'stimuli': 4 stimuli, no images>"


def test_unknown_region_shows_the_closest():
    recording = Recording("lab", STIMULI, {"V4": V4}, {"IT": IT})
    with pytest.raises(UnknownNameError, match=r"Unknown region of lab 'V44'. Did you mean 'V4'\?"):
        recording["V44"]
    with pytest.raises(UnknownNameError, match="Choices: IT, V4"):
        recording.only("EVC")


def test_stimuli_may_be_missing_altogether():
    assert Recording("lab", responses={"V4": V4}).stimuli is None


@pytest.mark.parametrize(
    ("responses", "rdms", "message"),
    [
        ({}, {}, "'lab' has no region and no behaviour"),
        ({"IT": V4}, {"IT": IT}, r"gives \['IT'\] both responses and RDMs"),
        ({"V4": V4.drop_vars("stimulus")}, {}, "'lab', region 'V4': .*lack the coordinate 'stimulus'"),
        ({}, {"IT": IT.rename(subject="person")}, "'lab', region 'IT': .*expected"),
        ({"V4": V4 * np.inf}, {}, "region 'V4': .*infinite"),
    ],
)
def test_wrong_recording(responses, rdms, message):
    with pytest.raises(ResponsesError, match=message):
        Recording("lab", STIMULI, responses, rdms)


@pytest.mark.parametrize(("responses", "rdms"), [({"V4": V4}, {}), ({}, {"V4": IT})])
def test_answers_to_unknown_stimuli(responses, rdms):
    with pytest.raises(AlignmentError, match="'lab', region 'V4', answers 2 stimuli .* lacks, such as 'a'"):
        Recording("lab", StimulusSet.from_ids(["c", "d"]), responses, rdms)


def test_behaviour_alone_is_a_recording_without_regions():
    table = pd.DataFrame({"subject": ["rat"], "correct": [1.0]})
    recording = Recording("rat", behaviour=table)
    assert recording.regions == []
    assert recording.behaviour is table
    for ask in (recording.require_regions, lambda: recording["V4"], lambda: recording.only("V4")):
        with pytest.raises(NeedsError, match="'rat' holds behaviour alone: there is nothing neural to score"):
            ask()


def test_behaviour_beside_a_region_stays_with_it():
    table = pd.DataFrame({"subject": ["rat"], "correct": [1.0]})
    recording = Recording("lab", STIMULI, {"V4": V4}, behaviour=table)
    recording.require_regions()
    assert recording.only("V4").behaviour is table


def test_wrong_behaviour_names_the_recording():
    with pytest.raises(ResponsesError, match="'rat': The table of behaviour does not say whose"):
        Recording("rat", behaviour=pd.DataFrame({"correct": [1.0]}))
