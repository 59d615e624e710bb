"""Make a recording of the files that a card points at, with no code."""

from brainalign.data.card import Card
from brainalign.data.own_rdms import own_rdms
from brainalign.data.own_responses import own_responses
from brainalign.data.own_stimuli import own_stimuli
from brainalign.data.recording import Recording
from brainalign.errors import AlignmentError, CardError, ResponsesError


def own_recording(card: Card) -> Recording:
    """Make a recording of the card's ``[stimuli]`` and ``[regions.NAME]``.

    Parameters
    ----------
    card
        A card whose regions name files in its own folder: ``.npy``, ``.csv``, ``.nc`` or ``.zarr``.

    Raises
    ------
    CardError
        A file that is missing, unreadable, of the wrong shape or outside the folder, or stimulus ids
        that do not match.
    """
    stimuli = own_stimuli(card)
    responses, rdms = {}, {}
    for name, region in card.regions.items():
        try:
            if region.responses is not None:
                responses[name] = own_responses(card, name, stimuli)
            else:
                rdms[name] = own_rdms(card, name, stimuli)
        except ResponsesError as error:
            raise CardError(f"Card {card.name!r}, region {name!r}: {error}") from error
    try:
        return Recording(card.name, stimuli, responses, rdms, provenance=card.provenance)
    except AlignmentError as error:
        raise CardError(
            f"{error} Give stimuli and responses the same ids: an image's id is its file name without the "
            "suffix, or its row's in the table of stimuli."
        ) from error
