"""What made a run: everything that decides its weights, as run.toml keeps it."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from brainalign.errors import BrainalignError
from brainalign.files import content_hash, written_whole
from brainalign.networks import Preprocessing, Shape

FILE = "run.toml"


@dataclass(frozen=True)
class Settings:
    """What made a run.

    Parameters
    ----------
    network, task, rule, optimizer
        Names with their options.
    seed
        Seed of the weights, of the order of the images, and of the rule's random numbers.
    lr
        Learning rate.
    steps
        Training steps in all.
    checkpoints
        Steps at which a checkpoint is kept.
    layer_costs, cost_weight
        Costs at layers, and the weight of the outputs' cost, as `train` reads them.
    evaluate_on
        Images at most, each of training and held-out ones, that a checkpoint is measured on; 0 for all.
    n_outputs, image_size, mean, std, scale
        What the task asked of the network, so that it can be built again without the images.
    initial
        What another run's weights are that training started from; empty for weights drawn under the seed.
    n_inputs
        Inputs at each time step that the task gives a recurrent network; 0 for tasks on images.
    """

    network: str
    task: str
    rule: str
    seed: int
    steps: int
    optimizer: str
    lr: float
    checkpoints: tuple[int, ...]
    layer_costs: tuple[str, ...]
    cost_weight: str
    evaluate_on: int
    n_outputs: int
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float
    activation: str
    initial: str = ""
    n_inputs: int = 0

    @property
    def shape(self) -> Shape:
        """What the task asked of the network."""
        preprocessing = Preprocessing(self.image_size, self.mean, self.std, self.scale)
        return Shape(preprocessing, self.n_outputs, self.activation, self.n_inputs)

    def key(self) -> str:
        """Hash of all settings."""
        return content_hash(json.dumps(asdict(self), sort_keys=True))

    def save(self, folder: Path, versions: str) -> None:
        """Write run.toml."""
        # Strings, numbers and lists look the same in TOML as in JSON.
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in asdict(self).items()]
        with written_whole(folder / FILE) as temporary:
            temporary.write_text("\n".join([*lines, f"versions = {json.dumps(versions)}", ""]))

    @classmethod
    def load(cls, folder: Path) -> "Settings":
        """Read run.toml.

        Raises
        ------
        BrainalignError
            No such folder or file, or one that is not what a run leaves.
        """
        path = folder / FILE
        if not path.is_file():
            raise BrainalignError(f"{folder} is no run's folder: there is no {FILE} in it.")
        try:
            read = tomllib.loads(path.read_text())
            read.pop("versions", None)
            return TypeAdapter(cls).validate_python(read)
        except (tomllib.TOMLDecodeError, ValidationError, UnicodeDecodeError) as error:
            raise BrainalignError(f"{path} is not what a run leaves: {error}.") from error

    def differences(self, other: "Settings") -> Sequence[str]:
        """Say in which settings two runs differ."""
        ours, theirs = asdict(self), asdict(other)
        return [
            f"{name} {theirs[name]!r} there, {ours[name]!r} now" for name in ours if ours[name] != theirs[name]
        ]
