"""The tasks by name, with images and options: ``classification:mnist,cost=squared_error``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.names import read_options, snake_case, unknown_name
from brainalign.tasks.autoencoding import Autoencoding, DenoisingAutoencoding
from brainalign.tasks.bci_cursor import BCICursor
from brainalign.tasks.center_out import CenterOut, DelayedReach
from brainalign.tasks.classification import Classification
from brainalign.tasks.contrastive import Contrastive
from brainalign.tasks.coordinate_transform import CoordinateTransform
from brainalign.tasks.image_task import ImageTask, options_of
from brainalign.tasks.images import load_images
from brainalign.tasks.isometric_force import IsometricForce
from brainalign.tasks.maze_reach import MazeReach
from brainalign.tasks.motor_task import MotorTask
from brainalign.tasks.next_frame import NextFrame
from brainalign.tasks.orientation import Orientation
from brainalign.tasks.penalised_autoencoding import ContractiveAutoencoding, SparseAutoencoding
from brainalign.tasks.rotation import Rotation
from brainalign.tasks.singular_modes import LinearRegression, SemanticHierarchy, SingularModes
from brainalign.tasks.task import Task
from brainalign.tasks.variational_autoencoding import VariationalAutoencoding

Kind = type[ImageTask] | type[LinearRegression] | type[MotorTask] | type[CoordinateTransform]

TASKS: dict[str, Mapping[str, Kind]] = {
    "classification": {"": Classification},
    "rotation": {"": Rotation},
    "autoencoding": {
        "plain": Autoencoding,
        "denoising": DenoisingAutoencoding,
        "sparse": SparseAutoencoding,
        "contractive": ContractiveAutoencoding,
        "variational": VariationalAutoencoding,
    },
    "contrastive": {"": Contrastive},
    "next_frame": {"": NextFrame},
    "orientation": {"": Orientation},
    "center_out": {"": CenterOut},
    "delayed_reach": {"": DelayedReach},
    "maze_reach": {"": MazeReach},
    "isometric_force": {"": IsometricForce},
    "bci_cursor": {"": BCICursor},
    "coordinate_transform": {"": CoordinateTransform},
    "singular_modes": {"teacher": SingularModes, "hierarchy": SemanticHierarchy},
}
"""Each task's kinds by the value of its option ``variant``, the default first; one alone has no such option."""

DEFAULT_IMAGES = "digits"


@dataclass(frozen=True)
class TaskEntry:
    """What `list_tasks` says of a task.

    Parameters
    ----------
    name
        The name; what follows its colon is an image set, and options.
    summary
        One line.
    options
        The options with their defaults.
    source
        Where the task comes from.
    """

    name: str
    summary: str
    options: dict[str, object]
    source: str


def list_tasks() -> list[TaskEntry]:
    """Give the tasks that `find_task` knows.

    Examples
    --------
    >>> list_tasks()[0].name
    'classification'
    """
    return [
        TaskEntry(f"{key}:variant={variant}" if variant else key, _summary(kind), _defaults(kind), kind.source)
        for key, kinds in TASKS.items()
        for variant, kind in kinds.items()
    ]


def find_task(name: str, **overrides: object) -> Task:
    """Make a task from its name.

    Parameters
    ----------
    name
        The task, a colon, an image set or a folder of images (``digits`` by default; see `load_images`), and
        options after commas.
    **overrides
        Fields of the task that have the last word, such as ``batch_size``, ``weight`` or ``at_layers``.

    Raises
    ------
    UnknownNameError
        A task, an image set or an option that does not exist, or a value of the wrong kind.
    BrainalignError
        Images that cannot be read, or too few of them.

    Examples
    --------
    >>> find_task("classification:digits,cost=squared-error,batch_size=64").name
    'classification:digits,batch_size=64,cost=squared_error'
    """
    key, _, text = name.partition(":")
    key = snake_case(key)
    if key not in TASKS:
        raise unknown_name("task", key, TASKS)
    image_set, text = _parts(text)
    kind, text = _kind(key, text)
    options = options_of(kind)
    zero = {f"{key}:{option}" for option in kind.from_zero}
    of_kind = {"variant": next(iter(TASKS[key]))} if len(TASKS[key]) > 1 else {}
    given = read_options(key, text, of_kind | _defaults(kind), zero)
    fields: dict = {options[option].name: value for option, value in given.items()}
    fields |= {options[field].name if field in options else field: value for field, value in overrides.items()}
    _check_fields(kind, fields)
    if issubclass(kind, ImageTask) and "images" not in fields:
        fields["images"] = load_images(image_set or DEFAULT_IMAGES, fields.get("size") or None)
    elif image_set and not issubclass(kind, ImageTask):
        raise BrainalignError(f"Task {key!r} has no images; leave {image_set!r} out.")
    return kind(**fields)


def draws_trials(name: str) -> bool:
    """Say whether a task draws its trials without end, and so has no images to set apart.

    Examples
    --------
    >>> draws_trials("center-out:body=velocity"), draws_trials("classification:mnist")
    (True, False)
    """
    kinds = TASKS.get(snake_case(name.partition(":")[0]), {})
    return any(issubclass(kind, MotorTask) for kind in kinds.values())


def _parts(text: str) -> tuple[str, str]:
    """Part a name's image set from its options; either may be missing."""
    first, _, rest = text.partition(",")
    if "=" in first and not Path(first).expanduser().is_dir():
        return "", text
    return first, rest


def _kind(key: str, text: str) -> tuple[Kind, str]:
    """Give the kind of task that the option ``variant`` names, and the options without it."""
    kinds = TASKS[key]
    variant, rest = next(iter(kinds)), []
    for part in text.split(","):
        option, equals, value = part.partition("=")
        if len(kinds) > 1 and equals and option.strip() == "variant":
            variant = snake_case(value.strip())
        else:
            rest.append(part)
    if variant not in kinds:
        raise unknown_name(f"variant of {key}", variant, kinds)
    return kinds[variant], ",".join(rest)


def _check_fields(kind: Kind, fields: Mapping[str, object]) -> None:
    unknown = set(fields) - set(kind.__dataclass_fields__)
    if unknown:
        raise UnknownNameError(
            str(unknown_name(f"field of {kind.key}", min(unknown), kind.__dataclass_fields__))
        )


def _defaults(kind: Kind) -> dict[str, object]:
    return {option: field.default for option, field in options_of(kind).items()}


def _summary(kind: Kind) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]
