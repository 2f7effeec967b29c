"""Several networks trained alike, a run folder each inside one, and their curves in one picture."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx
from matplotlib.figure import Figure

from experiments.commands.phases import phase
from experiments.data import Dataset
from experiments.training.loop import fit
from experiments.training.network import Network
from experiments.training.programs import Programs
from experiments.training.recipe import Recipe
from experiments.training.runs import Run
from jaxcnn.visualize.figures import COLOURS

Make = Callable[[nnx.Rngs], nnx.Module]
Curves = dict[str, list[list[dict[str, Any]]]]  # network -> seed -> the lines of its metrics


def train_each(
    run: Run, dataset: Dataset, networks: Mapping[str, Make], recipe: Recipe, seeds: int
) -> Curves:
    """Trains each network with the seeds `recipe.seed`, `recipe.seed` + 1, ...

    Args:
      run: its folder gets a run folder for each network and seed.
      dataset: to be learned.
      networks: by name.
      recipe: of all.
      seeds: how many.
    Returns:
      The metrics of every epoch, see `experiments.training.loop.fit`.
    """
    curves: Curves = {}
    for name, make in networks.items():
        with phase("build", f"building the network: {name}"):
            print(f"{name}: {parameters(make):,} parameters")
            programs = Programs(make, dataset, recipe)
        programs.compile()
        curves[name] = []
        for seed in range(recipe.seed, recipe.seed + seeds):
            settings = {"network": name, **dataclasses.asdict(recipe), "seed": seed}
            inner = Run.create(run.folder / f"{name}-{seed}".replace(" ", "-"), settings)
            fit(programs, inner, seed=seed, again="the same command, from its beginning")
            curves[name].append(inner.metrics())
    return curves


def parameters(make: Make) -> int:
    """How many numbers a network learns."""
    return sum(leaf.size for leaf in jax.tree.leaves(Network(make).shapes["params"]))


def last(curves: Curves, kind: str) -> dict[str, float]:
    """A metric of each network after its last epoch, averaged over the seeds."""
    return {
        name: float(np.mean([lines[-1][kind] for lines in runs])) for name, runs in curves.items()
    }


def curve_picture(curves: Curves, kinds: Mapping[str, str], title: str) -> Figure:
    """A panel a metric: each network's mean over the seeds, and the range in a lighter colour.

    Args:
      curves: from `train_each`.
      kinds: label of the axis -> name of the metric; in percent where the label ends with %.
      title: heading.
    """
    figure = Figure(figsize=(4.6 * len(kinds), 4), layout="constrained")
    for axes, (label, kind) in zip(
        figure.subplots(1, len(kinds), squeeze=False)[0], kinds.items(), strict=True
    ):
        for colour, (name, runs) in zip(COLOURS, curves.items(), strict=False):
            values = np.array([[line[kind] for line in lines] for lines in runs])
            values = 100 * values if label.endswith("%") else values
            epochs = np.arange(1, values.shape[1] + 1)
            axes.plot(epochs, values.mean(0), color=colour, label=name)
            axes.fill_between(epochs, values.min(0), values.max(0), color=colour, alpha=0.2)
        axes.set_xlabel("epoch"), axes.set_ylabel(label)
        axes.grid(alpha=0.3), axes.legend(fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure
