"""Errors of prediction in a stack whose layers predict one another, and the energy that they make up."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.networks.layered import Layer, LayeredNetwork
from brainalign.rules.output_error import output_error
from brainalign.rules.relaxation import Activities
from brainalign.rules.rule import Update
from brainalign.tasks.task import Batch, Task


@dataclass(frozen=True)
class PredictionErrors:
    r"""What a stack predicts of a batch, its inputs and targets being held.

    .. math::
        F = \tfrac{1}{2} \sum_{l < L} \lVert \epsilon_l \rVert^2 + \pi\, C(f(\mu_L)), \qquad
        \epsilon_l = x_l - \mu_l, \quad \mu_l = W_l f(x_{l-1}) + b_l, \quad
        \epsilon_L = -\pi\, \partial C / \partial \mu_L

    with values x before the activation, one for each hidden unit and sample. Under half the squared error and
    linear outputs :math:`\epsilon_L = \pi (y - \mu_L)`: outputs clamped to the targets, with precision π.

    Parameters
    ----------
    layers
        The stack.
    task, batch
        The cost, and what it is of.
    drive
        Predictions of the first layer, which do not change.
    precision
        π of the outputs; that of hidden layers is 1.
    """

    layers: tuple[Layer, ...]
    task: Task
    batch: Batch
    drive: Float[Tensor, "sample ..."]
    precision: float

    def answers(self, values: Activities) -> Activities:
        """Give what each layer is given: the inputs, then f(x)."""
        hidden = [layer.activation(x) for layer, x in zip(self.layers, values, strict=False)]
        return [self.batch.inputs, *hidden]

    def errors(self, values: Activities) -> Activities:
        """Give ε of each layer, the outputs' last, from the values of hidden layers."""
        return self.errors_of(values, self.answers(values))

    def errors_of(self, values: Activities, answers: Activities) -> Activities:
        """Give ε where what each layer is given is known."""
        above = [layer.preactivation(h) for layer, h in zip(self.layers[1:], answers[1:], strict=True)]
        predictions = [self.drive, *above]
        hidden = [x - mu for x, mu in zip(values, predictions, strict=False)]
        return [*hidden, self.of_outputs(predictions[-1])]

    def of_outputs(self, prediction: Float[Tensor, "sample output"]) -> Float[Tensor, "sample output"]:
        """Give ε of the outputs."""
        last = self.layers[-1]
        error, _ = output_error(self.task, self.batch, last.activation(prediction))
        return last.before_activation(-self.precision * error, prediction)

    def slopes(self, values: Activities, errors: Activities) -> Activities:
        """Give ∂F/∂x_l = ε_l − f′(x_l) ∘ W_{l+1}ᵀ ε_{l+1} of each hidden layer, for given errors."""
        found = []
        for place, x in enumerate(values):
            sent = self.layers[place + 1].transpose(errors[place + 1], x)
            found.append(errors[place] - self.layers[place].before_activation(sent, x))
        return found

    def gradient(self, values: Activities) -> Activities:
        """Give ∂F/∂x of each hidden layer; activations run once, for the answers and their slopes."""
        with torch.enable_grad():
            free = [x.detach().requires_grad_() for x in values]
            hidden = [layer.activation.forward(x) for layer, x in zip(self.layers, free, strict=False)]
        errors = self.errors_of(values, [self.batch.inputs, *(h.detach() for h in hidden)])
        sent = [
            layer.transpose(error, x)
            for layer, error, x in zip(self.layers[1:], errors[1:], values, strict=True)
        ]
        received = torch.autograd.grad(hidden, free, sent)
        return [error.sub_(each) for error, each in zip(errors, received, strict=False)]

    def layer_update(self, place: int, errors: Activities, answers: Activities) -> Update:
        """Give ∂F/∂W of one layer over π, the mean over samples: −ε f(x)ᵀ / π."""
        scaled = errors[place] * (-1 / (self.precision * len(self.batch)))
        return self.layers[place].weight_gradient(scaled, answers[place])

    def update(self, values: Activities, errors: Activities) -> Update:
        """Give each layer's update."""
        answers, found = self.answers(values), {}
        for place in range(len(self.layers)):
            found |= self.layer_update(place, errors, answers)
        return found


def prediction_errors(
    network: LayeredNetwork, task: Task, batch: Batch, precision: float
) -> tuple[PredictionErrors, Activities, Update]:
    """Give the equations, the values of a pass forward, and the gradient at what the task itself learns."""
    preactivations, answers = network.activity(batch.inputs)
    _, of_task = output_error(task, batch, answers[-1])
    predicting = PredictionErrors(network.layers, task, batch, preactivations[0], precision)
    return predicting, preactivations[:-1], of_task
