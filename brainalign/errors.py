"""Errors that a user can cause and mend: each names what was given, what was expected and what to do."""


class BrainalignError(ValueError):
    """Base of every error that is about the user's input rather than a fault of the library."""


class UnknownNameError(BrainalignError):
    """A name that no catalogue holds; the message lists the choices and the closest match."""


class CardError(BrainalignError):
    """A dataset card, or a file that it points at, is not what a card must be."""


class FetchError(BrainalignError):
    """A file could not be had: no network access, or its checksum differs."""


class TrainingError(BrainalignError):
    """Training that went wrong, or what it left behind that is not whole."""


class DivergedError(TrainingError):
    """Training came apart: weights or costs are no numbers, or activity does not settle; checkpoints stay."""


class ResponsesError(BrainalignError):
    """Responses, dissimilarities or activations that cannot be compared as they are."""


class AlignmentError(BrainalignError):
    """Stimulus ids of a network and a recording that do not match."""


class NeedsError(BrainalignError):
    """A metric needs something that the network or the recording does not have."""
