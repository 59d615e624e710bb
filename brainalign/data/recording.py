"""A recording: what was shown, what each region answered, and where the data come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pandas as pd
import xarray as xr

from brainalign.data.behaviour import check_behaviour
from brainalign.data.kinematics import check_kinematics, same_rows
from brainalign.data.responses import check_rdms, check_responses
from brainalign.data.stimuli import StimulusSet
from brainalign.errors import AlignmentError, NeedsError, ResponsesError
from brainalign.names import unknown_name


@dataclass(frozen=True)
class Provenance:
    """What a card says of the data's origin."""

    species: str = ""
    method: str = ""
    citation: str = ""
    licence: str = ""
    simulated: bool = False


@dataclass(frozen=True, eq=False)
class Recording:
    """Responses, or dissimilarity matrices, of one or more regions to one stimulus set; or behaviour alone.

    Parameters
    ----------
    name
        ``card`` or ``card/part``.
    stimuli
        The stimuli, or None where a recording has none.
    responses
        For each region an array that `check_responses` accepts.
    rdms
        For each region dissimilarity matrices that `check_rdms` accepts. Similarity judgements are
        the region ``behaviour``.
    behaviour
        Choices, one row a trial, where there are any: a table that `check_behaviour` accepts.
    provenance
        Species, method, citation, licence, and whether the data are simulated.
    kinematics
        How the arm, or a cursor, moved in the same trials, where that is known: an array that
        `check_kinematics` accepts.

    Raises
    ------
    ResponsesError
        Neither a region nor behaviour, or one region under both `responses` and `rdms`.
    AlignmentError
        A region names stimuli that the stimulus set does not hold, or the kinematics are of other
        trials or stimuli than each of the regions.
    """

    name: str
    stimuli: StimulusSet | None = None
    responses: Mapping[str, xr.DataArray] = field(default_factory=dict)
    rdms: Mapping[str, xr.DataArray] = field(default_factory=dict)
    behaviour: pd.DataFrame | None = None
    provenance: Provenance = field(default_factory=Provenance)
    kinematics: xr.DataArray | None = None

    def __post_init__(self):
        twice = set(self.responses) & set(self.rdms)
        if twice or (not self.regions and self.behaviour is None):
            problem = (
                f"gives {sorted(twice)} both responses and RDMs" if twice else "has no region and no behaviour"
            )
            raise ResponsesError(f"Recording {self.name!r} {problem}.")
        if self.behaviour is not None:
            try:
                check_behaviour(self.behaviour)
            except ResponsesError as error:
                raise ResponsesError(f"Recording {self.name!r}: {error}") from error
        for region in self.regions:
            check = check_responses if region in self.responses else check_rdms
            try:
                labelled = check(self[region])
            except ResponsesError as error:
                raise ResponsesError(f"Recording {self.name!r}, region {region!r}: {error}") from error
            if self.stimuli is not None:
                known = set(self.stimuli.ids)
                strange = [i for i in labelled["stimulus"].values.tolist() if i not in known]
                if strange:
                    raise AlignmentError(
                        f"Recording {self.name!r}, region {region!r}, answers {len(strange)} stimuli that "
                        f"its stimulus set lacks, such as {strange[0]!r}."
                    )
        if self.kinematics is not None:
            self._check_kinematics(self.kinematics)

    def _check_kinematics(self, kinematics: xr.DataArray) -> None:
        try:
            check_kinematics(kinematics)
        except ResponsesError as error:
            raise ResponsesError(f"Recording {self.name!r}: {error}") from error
        if not any(same_rows(kinematics, self[region]) for region in self.regions):
            rows = [f"{self[region]['stimulus'].size} for {region}" for region in self.regions]
            raise AlignmentError(
                f"Recording {self.name!r} has kinematics of {kinematics.shape[0]} rows ({kinematics.dims[0]}), "
                f"which are the rows of none of its regions ({', '.join(rows)}). Give them the trials, or the "
                "stimuli, of one region, in its order and with the same stimulus ids."
            )

    def __repr__(self) -> str:
        parts = {region: self[region] for region in self.regions} | {"kinematics": self.kinematics}
        held = [
            f"{name} ({', '.join(f'{size} {dim}' for dim, size in array.sizes.items())})"
            for name, array in parts.items()
            if array is not None
        ]
        if self.behaviour is not None:
            held.append(f"behaviour ({len(self.behaviour)} trials)")
        return (
            f"<{'SIMULATED ' if self.provenance.simulated else ''}Recording {self.name!r}: {'; '.join(held)}>"
        )

    @property
    def regions(self) -> list[str]:
        """Names of the regions."""
        return [*self.responses, *self.rdms]

    def __getitem__(self, region: str) -> xr.DataArray:
        """Give the responses, or the dissimilarity matrices, of one region."""
        if region in self.responses:
            return self.responses[region]
        if region in self.rdms:
            return self.rdms[region]
        self.require_regions()
        raise unknown_name(f"region of {self.name}", region, self.regions)

    def require_regions(self) -> None:
        """Raise a `NeedsError` if behaviour is all there is: no layer can be held against it."""
        if not self.regions:
            raise NeedsError(
                f"Recording {self.name!r} holds behaviour alone: there is nothing neural to score. Make "
                "learning curves of it (`brainalign.trajectory.behaviour.learning_curves`), or choose a "
                "recording of a brain area (`brainalign list recordings`)."
            )

    def only(self, region: str) -> "Recording":
        """Make the same recording with one region left, and the kinematics if they are of its rows."""
        kept = self[region]
        moved = self.kinematics
        if moved is not None and not same_rows(moved, kept):
            moved = None
        if region in self.responses:
            return replace(self, responses={region: kept}, rdms={}, kinematics=moved)
        return replace(self, responses={}, rdms={region: kept}, kinematics=moved)
