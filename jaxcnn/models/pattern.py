"""The textbook pattern INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC."""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import geometry, nn
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn.models import _network


@named_module
class PatternCNN(nnx.Module):
    """N convolutions M times over, each time with a pool or without, then K hidden layers.

    Args:
      input_shape: `(*spatial, channels)` of the images; sets the number of spatial axes.
      num_classes: number of outputs.
      convs: N, convolutions between two pools.
      stages: M, how often they are repeated.
      hidden: K, fully connected layers before the last.
      pool: whether a max pool of 2, strides 2, ends a stage; a bool, or one per stage.
      features: channels of the first stage, doubled in each later one; or those of every stage.
      hidden_features: outputs of each hidden layer.
      kernel_size: taps of the convolutions along each axis; padding keeps the sizes.
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: the stages, "stage1" to "stageM".
      classifier: flattening, the hidden layers and the last.
    Raises:
      ValueError: an option is out of range, or a pool finds fewer than two pixels.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import PatternCNN
      >>> options = dict(convs=2, stages=2, pool=(True, False))
      >>> model = nnx.eval_shape(lambda: PatternCNN((28, 28, 1), **options, rngs=nnx.Rngs(0)))
      >>> nnx.eval_shape(lambda model: model(jnp.ones((8, 28, 28, 1))), model).shape
      (8, 10)
      >>> maps = nnx.eval_shape(lambda model: model.feature_maps(jnp.ones((28, 28, 1))), model)
      >>> [maps[name].shape for name in model.features.names]
      [(14, 14, 16), (14, 14, 32)]
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int = 10,
        *,
        convs: int = 2,
        stages: int = 2,
        hidden: int = 1,
        pool: bool | Sequence[bool] = True,
        features: int | Sequence[int] = 16,
        hidden_features: int = 128,
        kernel_size: int = 3,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options = _network.options(rngs, dtype, param_dtype)
        self.input_shape = geometry.axes_tuple("input_shape", input_shape)
        if len(self.input_shape) < 2:
            raise ValueError(f"`input_shape` (={self.input_shape}) must be (*spatial, channels)")
        self.num_classes = _network.classes(num_classes)
        convs = geometry.whole_number("convs", convs, 1)
        stages = geometry.whole_number("stages", stages, 1)
        hidden = geometry.whole_number("hidden", hidden, 0)
        wide = geometry.whole_number("hidden_features", hidden_features, 1)
        taps = geometry.whole_number("kernel_size", kernel_size, 1)
        pools = _per_stage("pool", pool, stages, checks.flag)
        widths = _per_stage("features", features, stages, geometry.whole_number)
        if isinstance(features, int):
            widths = tuple(width * 2**stage for stage, width in enumerate(widths))
        *sizes, inside = self.input_shape
        rank = len(sizes)

        self.features = nn.Chain(
            **{
                f"stage{index}": _stage(
                    ((inside, *widths)[index - 1], width), convs, (taps,) * rank, pooled, options
                )
                for index, (width, pooled) in enumerate(zip(widths, pools, strict=True), 1)
            }
        )
        shrunk = [size // 2 ** sum(pools) for size in sizes]
        if min(shrunk) < 1:
            raise ValueError(
                f"`pool` (={pool}) leaves nothing of `input_shape` (={self.input_shape}); "
                "pool less often"
            )
        layers: dict[str, Any] = {"flatten": nn.Flatten(-rank - 1)}
        inside = math.prod(shrunk) * widths[-1]
        for index in range(1, hidden + 1):
            layers[f"fc{index}"] = _network.linear(inside, wide, **options)
            layers[f"relu{index}"] = nn.Activation("relu")
            inside = wide
        layers[f"fc{hidden + 1}"] = _network.linear(inside, self.num_classes, **options)
        self.classifier = nn.Chain(**layers)

    def __call__(
        self, inputs: Num[Array, "*batch_and_shape channels"]
    ) -> Inexact[Array, "*batch num_classes"]:
        """Gives one logit per class for images `(*batch, *input_shape)`."""
        inputs = _network.image(inputs, self.input_shape)
        return self.classifier(self.features(inputs))

    def feature_maps(self, inputs: Num[Array, "*batch_and_shape channels"]) -> dict[str, Array]:
        """What every stage gives, by name, in order."""
        return self.features.outputs(inputs)


def _stage(
    widths: tuple[int, int], convs: int, size: tuple[int, ...], pooled: bool, options: Any
) -> nn.Chain:
    """[CONV -> RELU]*N -> POOL?"""
    layers: dict[str, Any] = {}
    for index in range(1, convs + 1):
        layers[f"conv{index}"] = nn.Conv(widths[index > 1], widths[1], size, **options)
        layers[f"relu{index}"] = nn.Activation("relu")
    if pooled:
        layers["pool"] = nn.MaxPool((2,) * len(size), strides=2)
    return nn.Chain(**layers)


def _per_stage(argument: str, value: Any, stages: int, check: Any) -> tuple[Any, ...]:
    """One entry for each stage, from a single one or a sequence."""
    entries = tuple(value) if isinstance(value, (tuple, list)) else (value,) * stages
    if len(entries) != stages:
        raise ValueError(
            f"`{argument}` (={value!r}) must have one entry for each of the {stages} stages"
        )
    minimum = () if check is checks.flag else (1,)
    return tuple(check(argument, entry, *minimum) for entry in entries)
