"""The network of a run, from its checkpoints."""

from collections.abc import Callable

import jax
from flax import nnx
from jax.sharding import SingleDeviceSharding

from experiments.commands.phases import phase
from experiments.training.checkpoints import Checkpoints
from experiments.training.network import Network, on
from experiments.training.runs import Run


def restore(
    run: Run, make_model: Callable[[nnx.Rngs], nnx.Module], *, best: bool = False
) -> nnx.Module:
    """The network as it is tested: with the averaged parameters where the recipe has them.

    Args:
      run: its folder.
      make_model: makes the network that was trained.
      best: whether to take the checkpoint that did best in its test, and not the newest.
    Returns:
      The network, in use and not in training.
    Raises:
      UserError: there is no whole checkpoint, or it is of another network.
    """
    network = Network(make_model)
    checkpoints = Checkpoints(run.checkpoints, read_only=True)
    item = "average" if run.config().get("ema") else "model"
    find = checkpoints.restore_best if best else checkpoints.restore_newest
    device = SingleDeviceSharding(jax.devices()[0])
    with phase("saving", f"reading the checkpoint in {run.folder}", brief=True):
        _, items = find({item: on(device, network.shapes)})
    model = network.join(items[item])
    model.eval()
    return model
