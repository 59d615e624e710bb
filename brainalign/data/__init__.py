"""Stimuli, responses and recordings: the ground that both wings stand on."""

from brainalign.data.behaviour import check_behaviour
from brainalign.data.card import Card, read_card
from brainalign.data.cards import find_card, list_cards
from brainalign.data.fetch import fetch_card, fetch_file
from brainalign.data.kinematics import check_kinematics, make_kinematics
from brainalign.data.load import load_recording, recording_names
from brainalign.data.nwb import recording_from_nwb
from brainalign.data.recording import Provenance, Recording
from brainalign.data.responses import check_rdms, check_responses, make_rdms, make_responses
from brainalign.data.stimuli import ImageFile, StimulusSet

__all__ = [
    "Card",
    "ImageFile",
    "Provenance",
    "Recording",
    "StimulusSet",
    "check_behaviour",
    "check_kinematics",
    "check_rdms",
    "check_responses",
    "fetch_card",
    "fetch_file",
    "find_card",
    "list_cards",
    "load_recording",
    "make_kinematics",
    "make_rdms",
    "make_responses",
    "read_card",
    "recording_from_nwb",
    "recording_names",
]
