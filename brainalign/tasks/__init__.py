"""Tasks: what networks learn, as data and a cost, one a file."""

from brainalign.tasks.catalogue import TASKS, TaskEntry, draws_trials, find_task, list_tasks
from brainalign.tasks.classification import Classification
from brainalign.tasks.image_set import ImageSet
from brainalign.tasks.image_task import ImageTask
from brainalign.tasks.images import IMAGE_SETS, load_images
from brainalign.tasks.layer_costs import LAYER_COSTS, parse_layer_cost
from brainalign.tasks.schedule import Schedule
from brainalign.tasks.task import Batch, LayerCost, Task
from brainalign.tasks.total_cost import total_cost

__all__ = [
    "IMAGE_SETS",
    "LAYER_COSTS",
    "TASKS",
    "Batch",
    "Classification",
    "ImageSet",
    "ImageTask",
    "LayerCost",
    "Schedule",
    "Task",
    "TaskEntry",
    "draws_trials",
    "find_task",
    "list_tasks",
    "load_images",
    "parse_layer_cost",
    "total_cost",
]
