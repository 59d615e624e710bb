"""Push a handle that does not move: force in one of several directions."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from brainalign.errors import BrainalignError
from brainalign.tasks.center_out import CenterOut
from brainalign.tasks.isometric import NEWTONS_PER_METRE
from brainalign.tasks.motor_task import Course
from brainalign.tasks.task import Batch


@dataclass(frozen=True)
class IsometricForce(CenterOut):
    """Bring force from none to that of a target, and hold it; the hand stays where it is.

    As `CenterOut`, with the cursor of the body ``isometric`` in place of the hand: `distance` and `tolerance`
    are the cursor's, in m, at 15 N/m.

    Examples
    --------
    >>> task = IsometricForce()
    >>> task.n_outputs, task.n_inputs
    (2, 5)
    """

    key: ClassVar[str] = "isometric_force"
    source: ClassVar[str] = "Sergio, Hamel-Pâquet & Kalaska 2005, J Neurophysiol 94:2353"

    body: str = "isometric"
    movement: float = 0.3
    hold: float = 0.4

    def __post_init__(self):
        super().__post_init__()
        if self.body != "isometric":
            raise BrainalignError(
                f"Task {self.key} is of a hand that cannot move; found the body {self.body!r}. Leave body "
                "out, or use center_out."
            )

    def further(self, outputs: Course, batch: Batch) -> dict[str, Float[Tensor, " sample"]]:
        """Give the error at the end, of the cursor in m and of the force in N."""
        error = self.endpoint_error(outputs, batch)
        return {"endpoint_error": error, "force_error": NEWTONS_PER_METRE * error}
