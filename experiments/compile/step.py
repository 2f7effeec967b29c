"""The trainer's step for devices that are not here: everything but the arrays."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import tyro

from experiments.commands.command import require, require_known
from experiments.data import Dataset
from experiments.data.library import import_tfds
from experiments.data.mock import PREFIX
from experiments.data.named import describe
from experiments.data.source import find_builder
from experiments.training.mesh import make_mesh
from experiments.training.programs import Programs
from experiments.training.recipe import Recipe
from experiments.training.zoo import CLASSIFIERS, SEGMENTERS, build, check_model, has_remat

_USUAL_SIZE = 224, 224
_MANY = 10**7  # images of a data set nobody counts here; steps, of one image too, are 32-bit


@dataclasses.dataclass(frozen=True)
class Step:
    """What is compiled, and for which devices."""

    model: str = "resnet50"
    """Network, see `experiments.train`."""
    data: str = "imagenet2012"
    """Data set, of which the shapes and the classes count; no file of it is read."""
    image_size: tuple[int, int] | None = None
    """Height and width that images are brought to; their own when left out, 224 224 where these
    vary."""
    target: str = "h100"
    """Device: h100, h200, tpu-v5e, or a .toml file that describes one."""
    devices: int = 1
    """How many of them."""
    mesh: str = ""
    """How they are laid out, for example data=4,space=2; all on `data` when left out."""
    recipe: tyro.conf.OmitArgPrefixes[Recipe] = Recipe()

    def __post_init__(self):
        require_known("model", self.model, [*CLASSIFIERS, *SEGMENTERS])
        require(self.devices >= 1, "devices", self.devices, "must be 1 or more")

    def programs(self, devices: Any) -> Programs:
        """The trainer's programs for these devices, none of them compiled.

        Raises:
          UserError: the options do not go together.
        """
        dataset = described(self.data)
        check_model(self.model, dataset)
        mesh = make_mesh(self.mesh, devices=devices)
        rule = f"must be what --mesh (={self.mesh}) lays out, {mesh.size}"
        require(mesh.size == self.devices, "devices", self.devices, rule)
        size = self.image_size or (_USUAL_SIZE if None in dataset.image_shape else None)
        shape = dataset.shape_at(size)
        return Programs(
            build(self.model, self.recipe, classes=len(dataset.classes), image_shape=shape),
            dataset,
            self.recipe,
            mesh=mesh,
            image_size=size,
            remat=self.recipe.remat and not has_remat(self.model),
        )


@dataclasses.dataclass(frozen=True)
class Uncounted:
    """A split of which no example is there."""

    nbytes = None

    def __len__(self) -> int:
        return _MANY


def described(name: str) -> Dataset:
    """A data set as its builder describes it, without any file.

    Raises:
      UserError: it is unknown, or not one that networks here learn from.
    """
    builder = find_builder(import_tfds(), name.removeprefix(PREFIX), Path("no files"))
    layout, classes = describe(name, builder.info.features, Path("no files"))
    task = "segmentation" if layout.is_mask else "classification"
    split: Any = Uncounted()
    return Dataset(name, task, classes, layout.shape, split, split)


def lowered(programs: Programs) -> jax.stages.Lowered:
    """A step, ready for the compiler.

    Raises:
      UserError: the batch, or the rows of an image, do not divide among the devices.
    """
    return programs.batches.lowered(programs.like, programs.key_like)
