"""A card: the facts of a data set, and the files that hold it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from brainalign.data.card_fields import (
    ArrayPath,
    Degrees,
    FilePath,
    LocalPath,
    Sha256,
    SimpleName,
    TablePath,
    WebAddress,
)
from brainalign.data.recording import Provenance
from brainalign.data.responses import RESPONSE_DIMS
from brainalign.errors import CardError
from brainalign.names import unknown_name


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CardFile(_Section):
    """A public file: ``[[files]]``."""

    url: WebAddress
    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]
    path: FilePath
    """Where it lies in the card's own folder of the cache."""
    parts: list[str] | None = None
    """The parts that need it; None for every part."""


class CardPart(_Section):
    """What is known of one part, such as a day of recording: ``[parts.NAME]``."""

    description: str = ""
    subject: str = ""
    regions: list[str] = []
    n_units: int | None = None
    n_stimuli: int | None = None
    repeats: bool | None = None
    """Whether stimuli were shown more than once, so that there is a noise ceiling."""
    n_subjects: int | None = None
    """Subjects of a table of behaviour."""
    n_rows: int | None = None
    """Rows of a table of behaviour."""


class CardStimuli(_Section):
    """Stimuli of one's own: ``[stimuli]``."""

    images: LocalPath | None = None
    """Folder of images, each named after its stimulus."""
    table: TablePath | None = None
    """Table of the stimuli: ids, in order, and what is known of each."""
    degrees: Degrees | None = None

    @model_validator(mode="after")
    def _something(self) -> "CardStimuli":
        if self.images is None and self.table is None:
            raise ValueError("name a folder of `images`, a `table`, or both")
        return self


class CardRegion(_Section):
    """Responses or dissimilarity matrices of one's own: ``[regions.NAME]``."""

    responses: ArrayPath | None = None
    dims: list[Literal["stimulus", "trial", "unit", "repeat", "time"]] | None = None
    """Dimensions of the array, in its order; (stimulus, unit) when there are two."""
    subject: str | None = None
    units: TablePath | None = None
    """Table with a row for each unit."""
    time: list[float] | None = None
    """Seconds from a named event, along the dimension ``time``."""
    stimuli: TablePath | None = None
    """Table with the stimulus id of each row, where the file itself names none."""
    rdms: Annotated[
        list[ArrayPath], BeforeValidator(lambda given: [given] if isinstance(given, str) else given)
    ] = []
    """One file, or one for each subject."""
    subjects: list[str] | None = None
    """Subject of each matrix; a name that repeats marks repeated visits."""

    @model_validator(mode="after")
    def _responses_or_rdms(self) -> "CardRegion":
        if bool(self.responses) == bool(self.rdms):
            raise ValueError("name a file of `responses` or of `rdms`, one of the two")
        kind, others = (
            ("responses", ["subjects"]) if self.responses else ("rdms", ["dims", "subject", "units", "time"])
        )
        self._refuse(others, f"has no meaning beside `{kind}`")
        return self

    @model_validator(mode="after")
    def _said_once(self) -> "CardRegion":
        files = [self.responses, *self.rdms] if self.responses else self.rdms
        kinds = {PurePosixPath(file).suffix for file in files}
        if kinds - {".npy"}:
            self._refuse(["stimuli"], f"repeats what {', '.join(files)} must say: the stimulus of each row")
        if kinds & {".nc", ".zarr"}:
            self._refuse(["dims"], f"repeats what {', '.join(files)} says")
        return self

    @model_validator(mode="after")
    def _known_dims(self) -> "CardRegion":
        if self.dims is not None and sorted(self.dims) not in [sorted(dims) for dims in RESPONSE_DIMS]:
            allowed = ", ".join("(" + ", ".join(dims) + ")" for dims in RESPONSE_DIMS)
            raise ValueError(f"`dims` are {self.dims}; expected one of {allowed}, in the array's own order")
        return self

    def _refuse(self, keys: list[str], reason: str) -> None:
        for key in keys:
            if getattr(self, key) is not None:
                raise ValueError(f"`{key}` {reason}; leave it out")


class Card(_Section):
    """What ``card.toml`` says.

    A card either names public `files`, which the ``prepare.py`` beside it makes a recording of, or
    points at `regions` of one's own in its own folder.
    """

    name: SimpleName
    title: str = ""
    species: str = ""
    areas: list[str] = []
    method: str = ""
    licence: str = ""
    citation: str = ""
    bibtex: str = ""
    url: WebAddress | None = None
    degrees: Degrees | None = None
    simulated: bool = False
    notes: str = ""
    files: list[CardFile] = []
    parts: dict[SimpleName, CardPart] = {}
    stimuli: CardStimuli | None = None
    regions: dict[str, CardRegion] = {}
    _folder: Path = PrivateAttr()

    @property
    def folder(self) -> Path:
        """The folder that holds the card."""
        return self._folder

    @property
    def provenance(self) -> Provenance:
        """What the card says of the data's origin."""
        return Provenance(self.species, self.method, self.citation, self.licence, self.simulated)

    def recording_name(self, part: str) -> str:
        """Name of the recording that a part holds: ``card/part``, or the card's name."""
        return f"{self.name}/{part}" if part else self.name

    @model_validator(mode="after")
    def _own_or_public(self) -> "Card":
        if self.regions and (self.files or self.parts):
            raise ValueError("a card with [regions] of its own takes no [[files]] and no [parts]")
        if self.stimuli and not self.regions:
            raise ValueError("[stimuli] needs [regions.NAME] with the responses to them")
        return self

    @model_validator(mode="after")
    def _files_say_whose(self) -> "Card":
        wanted = ("title", "species", "areas", "method", "licence", "citation", "bibtex", "url")
        missing = [key for key in wanted if self.files and not getattr(self, key)]
        if missing:
            raise ValueError(f"a card of public [[files]] must state {', '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _files_fit_parts(self) -> "Card":
        paths = [file.path for file in self.files]
        twice = next((path for path in paths if paths.count(path) > 1), None)
        if twice:
            raise ValueError(f"two [[files]] have the path {twice!r}; give each its own")
        for part in (part for file in self.files for part in file.parts or []):
            if part not in self.parts:
                raise ValueError(str(unknown_name("part in [[files]]", part, self.parts)))
        return self


def read_card(path: Path | str) -> Card:
    """Read and check a card.

    Parameters
    ----------
    path
        The card's file.

    Raises
    ------
    CardError
        No file, no TOML, a key that is unknown (names the closest) or missing, a value of another
        kind than expected, or a path that leads out of its folder.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CardError(f"Card {path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CardError(f"Card {path} is no TOML file: {error}.") from error
    try:
        card = Card.model_validate(content)
    except ValidationError as error:
        problems = [_in_plain_words(problem) for problem in error.errors()]
        raise CardError(f"Card {path}: " + " ".join(problems)) from None
    card._folder = path.parent
    return card


_SECTIONS: Mapping[str, type[_Section]] = {
    "files": CardFile,
    "parts": CardPart,
    "stimuli": CardStimuli,
    "regions": CardRegion,
}


def _in_plain_words(problem: Mapping) -> str:
    location = problem["loc"]
    if problem["type"] == "extra_forbidden":
        section = _SECTIONS[location[0]] if len(location) > 1 else Card
        where = f" of [{'.'.join(str(step) for step in location[:-1])}]" if len(location) > 1 else ""
        return str(unknown_name(f"key{where}", str(location[-1]), section.model_fields))
    key = ".".join(str(step) for step in location)
    what = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"The key {key!r} is missing."
    if problem["type"] == "value_error":
        return f"{f'{key}: ' if key else ''}{what}."
    return f"{key}: {what}, given {problem['input']!r}."
