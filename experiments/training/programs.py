"""What is compiled for a network, a data set and a recipe."""

import contextlib
import functools
import time
from collections.abc import Callable

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from experiments.commands.command import UserError, require
from experiments.commands.phases import phase
from experiments.data import Dataset
from experiments.training import finetuning, memory
from experiments.training.epochs import OnDevice, Streamed
from experiments.training.evaluation import make_evaluate
from experiments.training.mesh import make_mesh, replicated
from experiments.training.network import Network, on
from experiments.training.nonfinite import Origin
from experiments.training.optimizers import make_optimizer, make_schedule
from experiments.training.place import replicate
from experiments.training.recipe import Recipe
from experiments.training.step import TrainState, initial_state, make_step, state_of


class Programs:
    """An epoch (or a step) and the test, compiled once for all seeds.

    Attributes:
      compile_seconds: how long that took.
      dataset: which they were compiled for.
      recipe: likewise; its seed is not part of the programs.
      batches: where the batches come from.
      origin: finds where a step that is not finite went wrong.
      image_shape: as the network sees them.
      streamed: whether images are read while the network is trained.
    """

    def __init__(
        self,
        make_model: Callable[[nnx.Rngs], nnx.Module],
        dataset: Dataset,
        recipe: Recipe,
        *,
        mesh: Mesh | None = None,
        image_size: tuple[int, int] | None = None,
        remat: bool = False,
        schedule=None,
    ):
        """Checks and prepares all but the programs.

        Args:
          make_model: makes the network with fresh parameters.
          dataset: from `experiments.data.load`.
          recipe: of the run.
          mesh: devices over which batches are spread; one device when None.
          image_size: what the images of a streamed data set are brought to.
          remat: whether the backward pass computes activations anew, for a network that has no
            such option of its own.
          schedule: in place of the recipe's.
        Raises:
          UserError: the recipe does not suit the data or the mesh.
        """
        self.dataset, self.recipe = dataset, recipe
        images, size = len(dataset.train), recipe.batch_size
        rule = f"must be at most the {images:,} images to train on"
        require(size <= images, "batch_size", size, rule)
        planar = len(dataset.image_shape) == 3
        require(planar or recipe.views == "one", "views", recipe.views, "is for images")
        self.mesh = make_mesh("data=1") if mesh is None else mesh
        begin = functools.partial(finetuning.load, path=recipe.weights) if recipe.weights else None
        self.network = Network(make_model, frozen=finetuning.parts(recipe), begin=begin)
        finetuning.check(recipe, self.network.shapes["params"])
        steps, classes = images // size, len(dataset.classes)
        self._optimizer = make_optimizer(recipe, schedule or make_schedule(recipe, steps))
        options = {"classes": classes, "steps_per_epoch": steps, "mesh": self.mesh}
        step = make_step(self.network, self._optimizer, recipe, remat=remat, **options)
        self.origin = Origin(self.network, self._optimizer, recipe, **options)
        evaluate = make_evaluate(self.network, classes=classes, views=recipe.views, mesh=self.mesh)
        parts = (dataset, recipe, step, evaluate, self.mesh)
        size = image_size and tuple(image_size)
        self.image_shape = dataset.shape_at(size)
        rule = f"must be given: the images of {dataset.name} are of several sizes"
        require(None not in self.image_shape, "image_size", image_size, rule)
        require(min(self.image_shape) >= 1, "image_size", image_size, "must be 1 or more pixels")
        recipe.augmentation.check(self.image_shape, is_mask=dataset.task == "segmentation")
        self._check_network()
        self.streamed = dataset.streamed or self.image_shape != dataset.image_shape
        self.batches: OnDevice | Streamed | None = None
        if self.streamed:
            self.batches = Streamed(*parts, size)
        else:
            doing = "placing the images on the device"
            with phase("data", doing), self.memory_explained(doing):
                self.batches = OnDevice(*parts)

    def compile(self) -> None:
        """Compiles.

        Raises:
          UserError: the memory does not suffice.
        """
        start = time.perf_counter()
        with phase("compile", "compiling"), self.memory_explained("compiling"):
            self.batches.compile(self.like, self.key(0))
        self.compile_seconds = time.perf_counter() - start

    def initial_state(self, seed: int) -> TrainState:
        """The state before the first step."""
        with phase("build", "drawing the parameters"):
            state = initial_state(self.network, self._optimizer, self.recipe, seed)
            return jax.block_until_ready(replicate(self.mesh, state))

    @functools.cached_property
    def like(self) -> TrainState:
        """Shapes, dtypes and devices of a state, without its arrays."""
        state = jax.eval_shape(
            lambda model: state_of(model, self._optimizer, bool(self.recipe.ema)),
            self.network.shapes,
        )
        return on(replicated(self.mesh), state)

    @property
    def key_like(self) -> jax.ShapeDtypeStruct:
        """Shape, dtype and devices of a key."""
        return on(replicated(self.mesh), jax.eval_shape(lambda: jax.random.key(0)))

    def memory_explained(self, doing: str) -> contextlib.AbstractContextManager[None]:
        """Turns running out of memory into a message with what takes the most of it.

        Args:
          doing: in words, such as "training".
        """
        return memory.explained(doing, self._needs, getattr(self.batches, "compiled", None))

    def _needs(self) -> memory.Needs:
        data = self.dataset
        images = None if self.streamed else len(data.train) + len(data.test)
        return memory.Needs(
            self.network, self.like, self.recipe, self.mesh, self.image_shape, images
        )

    def key(self, seed: int) -> jax.Array:
        """From which all follows that is random in a run."""
        return jax.jit(jax.random.key, out_shardings=replicated(self.mesh))(np.uint32(seed))

    def _check_network(self) -> None:
        """Before anything is computed or written."""
        images = jax.ShapeDtypeStruct((1, *self.image_shape), np.float32)
        try:
            logits, _ = jax.eval_shape(self.network.apply, self.network.shapes, images)
        except (TypeError, ValueError) as error:  # the network's own words on what it takes
            raise UserError(f"the network cannot see images {self.image_shape}: {error}") from error
        classes = len(self.dataset.classes)
        if logits.shape[-1] != classes:
            raise UserError(
                f"the network gives {logits.shape[-1]} logits, and {self.dataset.name} has "
                f"{classes} classes; take another network"
            )
        pixels = self.image_shape[:-1] if self.dataset.task == "segmentation" else ()
        if logits.shape != (1, *pixels, classes):  # such as one that takes signals for an image
            raise UserError(
                f"the network gives logits {logits.shape} for images {images.shape}, not "
                f"{(1, *pixels, classes)}; take another network"
            )
