"""What the layers of any network give, by their paths, and the weights that see the image first."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, ArrayLike, Int

from jaxcnn._checks.naming import named
from jaxcnn._modules.still import opened
from jaxcnn.analysis._activations import Look
from jaxcnn.analysis._calls import Call
from jaxcnn.analysis._inputs import arrays_of
from jaxcnn.analysis._share import part


@named
def feature_maps(
    model: Any, *inputs: ArrayLike, layers: Sequence[str] | None = None
) -> dict[str, Any]:
    """Gives what each layer of a network gives, whoever wrote it.

    A copy runs, in evaluation, and the names of its layers' outputs are looked up in its Jaxpr, so
    that layers inside `jax.jit`, `nnx.remat` and `nnx.scan` are among them (those of a loop with an
    axis more, in front) and all of it may itself be under `jax.jit`. What `while` loops and
    branches run is left out, and so are functions that are no modules, unless in an `nn.Chain`.

    Args:
      model: a `flax.nnx.Module`, also with arguments set by `functools.partial`, as in
        `partial(model, train=False)`, or a function, which is one layer; modules of Linen that run
        in it, by `nnx.bridge.ToNNX` or `apply`, are layers too.
      *inputs: what it is called with, batch included: arrays, or dictionaries of them.
      layers: paths of those that are wanted, such as "features.stage1"; None for all that have no
        layers inside them.
    Returns:
      Path of the layer, joined by dots, to its output, in the order of the calls. A layer that is
      called again is "conv:1", then "conv:2"; the whole network is "(model)".
    Raises:
      ValueError: no layer has a path that is asked for, or the model does not take the inputs.
      TypeError: the model has no values.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import analysis
      >>> class Net(nnx.Module):
      ...     def __init__(self, rngs):
      ...         self.conv = nnx.Conv(1, 4, (3, 3), rngs=rngs)
      ...         self.again = nnx.Conv(4, 4, (3, 3), rngs=rngs)
      ...
      ...     def __call__(self, x):
      ...         return self.again(nnx.relu(self.again(self.conv(x))))
      >>> maps = analysis.feature_maps(Net(nnx.Rngs(0)), jnp.ones((2, 8, 8, 1)))
      >>> {name: array.shape for name, array in maps.items()}
      {'conv': (2, 8, 8, 4), 'again': (2, 8, 8, 4), 'again:1': (2, 8, 8, 4)}
    """
    look = Look(model, *arrays_of(inputs))
    if layers is None:
        names = [name for name, n in look.calls.items() if look.recording.calls[n].leaf]
    else:
        names = [layers] if isinstance(layers, str) else list(layers)
        for name in names:
            look.call(name)

    @jax.jit
    def maps(*given: Any) -> list[Any]:
        found = look.run(given, {}, names)[1]
        return [found[name] for name in names]  # JAX would sort a dictionary

    return dict(zip(names, maps(*look.recording.inputs), strict=True))


@named
def activation_histograms(
    model: Any, *inputs: ArrayLike, edges: ArrayLike, layers: Sequence[str] | None = None
) -> dict[str, Int[Array, " bins"]]:
    """Counts how large the activations of each layer are.

    Stacked step after step these are what `visualize.activation_histograms` draws.

    Args:
      model: as in `feature_maps`.
      *inputs: as in `feature_maps`.
      edges: of the bins, `(bins + 1,)`, rising; what lies outside is counted in the outermost bins.
        Complex activations are counted by their magnitudes.
      layers: as in `feature_maps`.
    Returns:
      Path of the layer to its counts, which add up to the number of its activations.
    Raises:
      ValueError: as `feature_maps`, or the edges do not rise.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import analysis
      >>> images = jnp.array([[-3.0, 0.5, 1.5, 9.0]])
      >>> counts = analysis.activation_histograms(nnx.relu, images, edges=[0.0, 1.0, 2.0])
      >>> {name: array.tolist() for name, array in counts.items()}
      {'(model)': [2, 2]}
    """
    limits = np.asarray(edges, np.float32)
    if limits.ndim != 1 or len(limits) < 2 or not (np.diff(limits) > 0).all():
        raise ValueError(f"`edges` must be rising, (bins + 1,); received {limits.tolist()}")

    def counted(values: Array) -> Array:
        values = jnp.abs(values) if jnp.iscomplexobj(values) else values
        inside = jnp.clip(values.astype(jnp.float32).ravel(), limits[0], limits[-1])
        return jnp.histogram(inside, limits)[0].astype(jnp.int32)

    maps = feature_maps(model, *inputs, layers=layers)
    return {name: jax.jit(counted)(jax.tree.leaves(maps[name])[0]) for name in maps}


@named
def first_kernel(model: nnx.Module, *inputs: Any) -> tuple[str, Array]:
    """Finds the kernel of the convolution that runs first, which sees the image itself.

    `visualize.kernels` draws it.

    Args:
      model: a `flax.nnx.Module`.
      *inputs: what it is called with.
    Returns:
      The path of the layer, and its kernel `(*kernel_size, in_features, out_features)`; of layers
      whose parameters are stacked the first one's.
    Raises:
      ValueError: no layer has a kernel with a window.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import analysis, models
      >>> path, kernel = analysis.first_kernel(
      ...     models.LeNet5(rngs=nnx.Rngs(0)), jnp.ones((1, 28, 28, 1))
      ... )
      >>> path, kernel.shape
      ('features.conv1', (5, 5, 1, 6))
    """
    look, found = Look(model, *arrays_of(inputs)), opened(model)
    for name, number in look.calls.items():
        call = look.recording.calls[number]
        layer = part(model if found is None else found[0], call.path)
        kernel = layer.get("kernel") if isinstance(layer, dict) else getattr(layer, "kernel", None)
        flat = isinstance(layer, nnx.LinearGeneral | nnx.Einsum) or call.kind == "DenseGeneral"
        if kernel is None or flat:
            continue
        stacks = _stacks(call, kernel)
        if kernel.ndim - stacks > 2:
            return name, kernel[(0,) * stacks if stacks else ...]
    raise ValueError(
        f"`model` must have a layer with a kernel of a window; {type(model).__name__} calls "
        f"{', '.join(look.calls)}"
    )


def _stacks(call: Call, kernel: Any) -> int:
    """Along how many first axes the kernels of several layers are stacked."""
    if "kernel" in call.state:
        return kernel.ndim - len(call.state["kernel"].shape)
    given = next(leaf for leaf in jax.tree.leaves(call.inputs) if hasattr(leaf, "shape"))
    return max(kernel.ndim - len(given.shape), 0)
