"""What networks score in one region at the layers they are committed to, bootstrap samples included."""

from dataclasses import dataclass

from brainalign.compare.differences import Entry
from brainalign.compare.resampling import Resamples


@dataclass(frozen=True, eq=False)
class CommittedRegion:
    """Networks held against one region by one metric, each at the layer committed on other stimuli.

    All networks share the bootstrap samples, so that any contrast of them can be tested; see
    `paired_differences`.

    Parameters
    ----------
    recording, region, metric
        As in the Scores table.
    stimuli
        Those that were compared, in the order of the samples' counts.
    resamples
        The bootstrap samples.
    entries
        The networks' outcomes, in the order in which they were given.
    """

    recording: str
    region: str
    metric: str
    stimuli: tuple[str, ...]
    resamples: Resamples
    entries: tuple[Entry, ...]
