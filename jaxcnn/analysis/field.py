"""Which pixels of the image each unit sees, layer by layer; nothing is run."""

from collections.abc import Callable, Sequence
from typing import Any

from flax import nnx

from jaxcnn import geometry
from jaxcnn._checks.naming import named, naming
from jaxcnn._modules import places
from jaxcnn._modules.still import still
from jaxcnn.geometry.field import EVERYTHING, After, Field

_NAME = "receptive_field"


@named
def receptive_field(
    model: nnx.Module | Callable[..., Any], input_shape: Sequence[int]
) -> Field | None:
    """Works out which pixels a unit of the outputs can see.

        size' = size + (e - 1) * strides,   strides' = strides * s,   start' = start - p * strides

    for a layer whose windows span e pixels of its own inputs, s apart, after p of padding. Where
    branches are added, or their channels joined, a unit sees what any of them sees. A unit can see
    all of its field, and hardly looks at the edge: the gradient is large in the middle alone.

    A module of your own says what it sees by a method, as all modules of `nn` and `models` do:

        def receptive_field(self, field, after): ...

    It takes the `Field` of its inputs and returns that of its outputs, by the methods of `Field`;
    `after(field, "name")` is the field after its own part `self.name`, and
    `after(field, "blocks", 0)` after `self.blocks[0]`. A module that can't say raises
    NotImplementedError.

    Args:
      model: a layer, a block or a network that says what it sees; or a convolution, a
        normalisation, a dropout or a fully connected layer of Flax. What a function sees, such as
        one in a chain, is read in its Jaxpr: single elements, the channels of a pixel, windows as
        of a pool.
      input_shape: spatial sizes of the inputs: no batch, no channels.
    Returns:
      The field; None where every unit sees all pixels, as after a flattening.
    Raises:
      ValueError: a window does not fit.
      TypeError: a layer or function of unknown geometry; `visualize.receptive_field` measures any
        function's.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import analysis, models, nn
      >>> model = nnx.eval_shape(lambda: models.VGG(16, rngs=nnx.Rngs(0)))
      >>> analysis.receptive_field(model.features, (224, 224))
      Field(size=(212, 212), strides=(32, 32), start=(-90, -90), output_shape=(7, 7))
      >>> doubled = nnx.eval_shape(lambda: models.UNet(widths=(4, 8), rngs=nnx.Rngs(0)))
      >>> analysis.receptive_field(doubled, (64, 64)).sees((32, 33))
      ((24, 42), (24, 42))
      >>> class Dense(nnx.Module):
      ...     def __init__(self, conv):
      ...         self.conv = conv
      ...
      ...     def __call__(self, inputs):
      ...         return jnp.concatenate([inputs, self.conv(inputs)], -1)
      ...
      ...     def receptive_field(self, field, after):
      ...         return field.union(after(field, "conv"))
      >>> dense = Dense(nnx.eval_shape(lambda: nn.Conv(2, 2, (3, 3), rngs=nnx.Rngs(0))))
      >>> analysis.receptive_field(dense, (8, 8)).size
      (3, 3)

    References:
      A. Araujo, W. Norris and J. Sim, Computing receptive fields of convolutional neural networks,
      Distill, 2019.
    """
    sizes = geometry.axes_tuple("input_shape", input_shape)
    return fields(model, sizes)[()]


def fields(
    model: Any, sizes: tuple[int, ...], *, partial: bool = False
) -> dict[tuple[Any, ...], Field | None]:
    """The field after every module, by its path; with `partial` as far as geometry is known."""
    seen: dict[tuple[Any, ...], Field] = {}
    try:
        _after(model, (), Field.of_image(sizes), seen)
    except TypeError:
        if not partial:
            raise
    return {path: None if field is EVERYTHING else field for path, field in seen.items()}


@naming(_NAME)
def _after(layer: Any, path: tuple[Any, ...], field: Field, seen: dict[Any, Field]) -> Field:
    """The field after `layer`, noted under its path."""

    def after(field: Field, *names: str | int) -> Field:
        part = layer
        for name in names:
            part = part[name] if isinstance(name, int) else getattr(part, name)
        return _after(part, (*path, *names), field, seen)

    try:
        result = _said(layer, field, after)
    except NotImplementedError as error:
        if field is not EVERYTHING:
            raise _unknown(layer, str(error) or "which does not know its own windows") from None
        result = field
    if not isinstance(result, Field):
        raise _unknown(layer, f"whose `{_NAME}` returns {type(result).__name__} in place of Field")
    seen[path] = result
    return result


def _said(layer: Any, field: Field, after: After) -> Field:
    """The field after `layer`, as it says itself, or as is known of Flax's, or of a function."""
    if isinstance(layer, nnx.Module):
        own = getattr(layer, _NAME, None)
        if own is not None:
            return own(field, after)
        for kind in type(layer).__mro__:
            if kind in _FLAX:
                return _FLAX[kind](layer, field)
        if hasattr(layer, "features") and hasattr(layer, "classifier"):
            return after(after(field, "features"), "classifier")  # as networks here are built
        raise NotImplementedError(f"which has no method `{_NAME}`")
    if field is EVERYTHING:
        return field
    axes = range(1, len(field.output_shape) + 1)
    alone = still("model", layer)
    try:
        sees = places.follow(alone, (2, *field.output_shape), axes, field.sights)
    except places.Unknown as unknown:
        raise NotImplementedError(f"of which is unknown what it sees ({unknown})") from None
    return EVERYTHING if sees is None else Field.of_sights(sees)


def _unknown(layer: Any, why: str) -> TypeError:
    return TypeError(
        f"`model` holds {places.name_of(layer)}, {why}; `visualize.{_NAME}` measures the "
        "field of any function"
    )


def _conv(layer: Any, field: Field) -> Field:
    return field.windows(
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        dilation=layer.kernel_dilation,
        input_dilation=layer.input_dilation,
    )


# Flax's layers, which say nothing themselves; those of `nn` that are made of them included.
_FLAX: dict[type, Callable[[Any, Field], Field]] = {
    nnx.Conv: _conv,
    **dict.fromkeys(
        (nnx.BatchNorm, nnx.LayerNorm, nnx.RMSNorm, nnx.Dropout, nnx.Linear),
        lambda layer, field: field,
    ),
    **dict.fromkeys((nnx.GroupNorm, nnx.InstanceNorm), lambda layer, field: field.everything()),
}
