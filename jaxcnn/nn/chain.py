"""Modules without parameters that hold a network together."""

import math
from collections.abc import Callable
from typing import Any

from flax import nnx
from jaxtyping import Array, Shaped

from jaxcnn import geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules.remat import rematerialized
from jaxcnn.lowering.halo import whole_rows

Layer = Callable[[Array], Array]


@named_module
class Chain(nnx.Module):
    """Layers one after another, each under its own name.

    The names are those of the attributes, of the parameters' paths in a checkpoint, and of what
    `outputs` returns.

    Args:
      **layers: modules or functions of one array, in order.
    Attributes:
      remat: whether the backward pass computes anew what is inside a layer instead of keeping it,
        which trades time for memory; False until set.
    Raises:
      ValueError: no layer is given, or under a name that is taken.
      TypeError: a layer can't be called.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> stem = nn.Chain(
      ...     conv=nn.Conv(1, 6, (5, 5), rngs=nnx.Rngs(0)), pool=nn.MaxPool((2, 2), strides=2)
      ... )
      >>> stem.conv.kernel.shape
      (5, 5, 1, 6)
      >>> {name: array.shape for name, array in stem.outputs(jnp.ones((8, 28, 28, 1))).items()}
      {'conv': (8, 28, 28, 6), 'pool': (8, 14, 14, 6)}
    """

    remat = False

    def __init__(self, **layers: Layer):
        if not layers:
            raise ValueError("Chain: needs at least one layer; write Chain(conv=..., pool=...)")
        for name, layer in layers.items():
            if hasattr(Chain, name) or name == "names":
                raise ValueError(f"`{name}` is no name for a layer; take another")
            setattr(self, name, checks.function(name, layer))
        self.names = tuple(layers)

    def __call__(self, inputs: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        """Hands `inputs` through all layers."""
        for layer in self.layers:
            inputs = self._apply(layer, inputs)
        return inputs

    @property  # no method: `nnx.tabulate` would make a program of it, and layers are no outputs
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order."""
        return tuple(getattr(self, name) for name in self.names)

    def outputs(self, inputs: Shaped[Array, "..."]) -> dict[str, Array]:
        """What every layer gives, by name, in order."""
        results = {}
        for name, layer in zip(self.names, self.layers, strict=True):
            results[name] = inputs = self._apply(layer, inputs)
        return results

    def _apply(self, layer: Layer, inputs: Array) -> Array:
        """One layer, its inner values computed anew if asked for."""
        if self.remat and isinstance(layer, nnx.Module):
            return rematerialized(layer, inputs)
        return layer(inputs)


@named_module
class Activation(nnx.Module):
    """A function of single elements, by name: `nnx.relu` itself can't be pickled, its name can.

    Args:
      function: name of a function in `flax.nnx`, such as "relu", "gelu" or "silu", or a function
        of one array.
    Raises:
      ValueError: no such name.
      TypeError: neither a name nor a function.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> nn.Activation("relu")(jnp.array([-1.0, 2.0]))
      Array([0., 2.], dtype=float32)
    """

    def __init__(self, function: str | Layer):
        if isinstance(function, str):
            if not callable(getattr(nnx, function, None)):
                raise ValueError(
                    f"`function` (={function!r}) must be the name of one in flax.nnx, "
                    "such as 'relu', or a function of one array"
                )
        else:
            checks.function("function", function)
        self.function = function

    def __call__(self, inputs: Shaped[Array, "*axes"]) -> Shaped[Array, "*axes"]:
        """Applies the function to every element."""
        function: Any = self.function
        return getattr(nnx, function)(inputs) if isinstance(function, str) else function(inputs)


@named_module
class Flatten(nnx.Module):
    """Gathers axes into one: by default height, width and channels, so that batch axes stay.

    Args:
      start_axis: the first axis to gather, counted from the end if negative; the default suits two
        spatial axes, -2 suits one, 1 gathers all but one batch axis.
      end_axis: the last one.
    Raises:
      ValueError: the axes are in the wrong order, or the inputs lack them.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> nn.Flatten()(jnp.ones((8, 5, 5, 16))).shape, nn.Flatten()(jnp.ones((5, 5, 16))).shape
      ((8, 400), (400,))
    """

    def __init__(self, start_axis: int = -3, end_axis: int = -1):
        self.start_axis = geometry.whole_number("start_axis", start_axis)
        self.end_axis = geometry.whole_number("end_axis", end_axis)
        if (start_axis < 0) == (end_axis < 0) and end_axis < start_axis:
            raise ValueError(
                f"`end_axis` (={end_axis}) must not come before `start_axis` (={start_axis})"
            )

    def __call__(self, inputs: Shaped[Array, "*axes"]) -> Shaped[Array, "*fewer"]:
        """Gathers the axes, in row-major order."""
        rank = inputs.ndim
        start, end = (
            axis + rank if axis < 0 else axis for axis in (self.start_axis, self.end_axis)
        )
        if not 0 <= start <= end < rank:
            raise ValueError(
                f"`inputs` must have the axes {self.start_axis} to {self.end_axis}; "
                f"received inputs {inputs.shape}"
            )
        if start <= 1 < end:  # rows on several devices can't be laid end to end
            inputs = whole_rows(inputs)
        size = math.prod(inputs.shape[start : end + 1])
        return inputs.reshape((*inputs.shape[:start], size, *inputs.shape[end + 1 :]))
