"""Training: from a recipe and a data set to a run folder that can be stopped and resumed."""

from experiments.trainer.checkpoints import Checkpoints
from experiments.trainer.config import Recipe
from experiments.trainer.loop import Watch, fit
from experiments.trainer.network import Network, scale
from experiments.trainer.programs import Programs
from experiments.trainer.restore import restore
from experiments.trainer.step import TrainState

__all__ = [
    "Checkpoints",
    "Network",
    "Programs",
    "Recipe",
    "TrainState",
    "Watch",
    "fit",
    "restore",
    "scale",
]
