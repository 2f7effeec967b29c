"""What a unit sees of the image, layer by layer, from geometry alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flax import nnx

from jaxcnn import geometry, models, nn
from jaxcnn.models.convnext import ConvNeXtBlock
from jaxcnn.models.speed_net import PATCH, Scale, Whitening
from jaxcnn.models.unet import UNetFeatures
from jaxcnn.nn import _arguments
from jaxcnn.nn._layer import ConvLayer

_NAME = "receptive_field"


@dataclass(frozen=True, slots=True)
class Field:
    """Where the units of a feature map look, along each spatial axis.

    Unit i sees the pixels from `start + i * strides`, `size` of them; those outside the image are
    padding.

    Attributes:
      size: pixels that a unit sees.
      strides: pixels between what a unit and the next one see.
      start: the first pixel that the first unit sees; negative in the padding.
      output_shape: units.
    """

    size: tuple[int, ...]
    strides: tuple[int, ...]
    start: tuple[int, ...]
    output_shape: tuple[int, ...]


def receptive_field(
    model: nnx.Module | Callable[..., Any], input_shape: Sequence[int]
) -> Field | None:
    """Works out which pixels a unit of the outputs can see.

        size' = size + (e - 1) * strides,   strides' = strides * s,   start' = start - p * strides

    for a layer whose windows span e pixels of its own inputs, s apart, after p of padding. Where
    branches are added, a unit sees what any of them sees. Beware of what a unit can see and what it
    does see: the gradient is large in the middle of the field alone.

    Args:
      model: a layer, an `nn.Chain`, a block of `nn`, or a network or the `features` of one.
      input_shape: spatial sizes of the inputs: no batch, no channels.
    Returns:
      The field; None where every unit sees all pixels, as after a flattening.
    Raises:
      ValueError: a window does not fit.
      TypeError: a layer of unknown geometry; `visualize.receptive_field` measures any function's.

    Example:
      >>> from flax import nnx
      >>> from jaxcnn import analysis, models
      >>> model = nnx.eval_shape(lambda: models.VGG(16, rngs=nnx.Rngs(0)))
      >>> analysis.receptive_field(model.features, (224, 224))
      Field(size=(212, 212), strides=(32, 32), start=(-90, -90), output_shape=(7, 7))

    References:
      A. Araujo, W. Norris and J. Sim, Computing receptive fields of convolutional neural networks,
      Distill, 2019.
    """
    sizes = geometry.axes_tuple(_NAME, "input_shape", input_shape)
    return fields(model, sizes)[()]


def fields(
    model: Any, sizes: tuple[int, ...], *, partial: bool = False
) -> dict[tuple[Any, ...], Field | None]:
    """The field after every module, by its path; with `partial` as far as geometry is known."""
    ones = (1,) * len(sizes)
    seen: dict[tuple[Any, ...], Field | None] = {}
    try:
        _after(model, (), Field(ones, ones, (0,) * len(sizes), sizes), seen)
    except TypeError:
        if not partial:
            raise
    return seen


def _after(layer: Any, path: tuple[Any, ...], field: Field | None, seen: dict) -> Field | None:
    """The field after `layer`, noted under its path."""
    result = _inside(layer, path, field, seen)
    seen[path] = result
    return result


def _inside(layer: Any, path: tuple[Any, ...], field: Field | None, seen: dict) -> Field | None:
    """The field after `layer` from that of its parts or from its windows."""

    def through(*names: str) -> Field | None:
        inner = field
        for name in names:
            inner = _after(getattr(layer, name), (*path, name), inner, seen)
        return inner

    if isinstance(layer, nn.Chain):
        return through(*layer.names)
    if isinstance(layer, nn.ConvBlock):
        return through(*layer.order)
    if isinstance(layer, nn.ResidualBlock):
        other = field if layer.shortcut is None else through("shortcut")
        both = _union(through("branch"), other)
        seen[*path, "activation"] = both
        return both
    if isinstance(layer, nn.InvertedResidual):
        alone = layer.strides > 1 or layer.in_features != layer.out_features
        return through("branch") if alone else _union(through("branch"), field)
    if isinstance(layer, ConvNeXtBlock):
        seen[*path, "drop"] = through("branch")
        return _union(seen[*path, "drop"], field)
    if isinstance(layer, nn.ContextBlock):
        return through("branch")
    if isinstance(layer, models.DilatedContext):
        through("features", "classifier")
        raise _unknown(layer)  # the interpolation's windows aren't all alike
    if isinstance(layer, UNetFeatures):
        levels = range(1, len(layer.widths) + 1)
        through("down1", *(name for n in levels[1:] for name in ("pool", f"down{n}")))
        raise _unknown(layer)  # nor are those of the way up
    if hasattr(layer, "features") and hasattr(layer, "classifier"):
        return through("features", "classifier")
    if isinstance(layer, _SINGLE) or field is None:
        return field
    if isinstance(layer, _ALL):
        return None
    return _windowed(field, *_windows_of(layer, field))


_SINGLE = (nn.Activation, nnx.BatchNorm, nnx.LayerNorm, nnx.Dropout, nnx.Linear, Scale)
_ALL = (nn.Flatten, nn.GlobalPool, nn.AdaptivePool, nn.SpatialPyramidPool, nnx.GroupNorm)


def _windows_of(layer: Any, field: Field) -> tuple[Any, Any, Any, Any, bool]:
    """Window, strides, padding, dilation and ceil_mode of one layer."""
    rank = len(field.output_shape)
    spread = _arguments.spread
    if isinstance(layer, nn.Conv):
        if spread(layer.input_dilation, rank) == (1,) * rank and len(layer.kernel_size) == rank:
            size, spacing = tuple(layer.kernel_size), spread(layer.kernel_dilation, rank)
            amounts, _ = geometry.fill_and_amounts("Conv", layer.padding, "zeros", size, spacing)  # type: ignore[arg-type]
            return size, spread(layer.strides, rank), amounts, spacing, False
    elif isinstance(layer, ConvLayer) and not isinstance(layer, (nn.DeformConv, nn.ResizeConv)):
        size, spacing = layer.kernel_size, layer.kernel_dilation
        amounts, _ = geometry.fill_and_amounts(
            type(layer).__name__, layer.padding, "zeros", size, spacing
        )
        return size, layer.strides, amounts, spacing, False
    elif isinstance(layer, nn.WindowPool):
        where = spread(layer.strides, rank), layer.padding, layer.window_dilation
        return layer.window_shape, *where, layer.ceil_mode
    elif isinstance(layer, nn.BlurPool):
        pairs = tuple(((k - 1) // 2, k // 2) for k in layer.window_shape)
        amounts = pairs if layer.padding is None else layer.padding
        return layer.window_shape, spread(layer.strides, rank), amounts, 1, False
    elif isinstance(layer, nn.PaddedShortcut):
        return (1,) * rank, layer.strides, 0, 1, False
    elif isinstance(layer, Whitening):
        return PATCH, 1, 0, 1, False
    raise _unknown(layer)


def _unknown(layer: Any) -> TypeError:
    return TypeError(
        f"{_NAME}: `model` holds {type(layer).__name__}, whose windows are unknown; "
        "`visualize.receptive_field` measures the field of any function"
    )


def _windowed(
    field: Field, window: Any, strides: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Field:
    """The field after one layer of windows."""
    where = geometry.windows(
        _NAME,
        field.output_shape,
        window,
        strides=strides,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        crop=True,
    )
    axes = zip(
        *(field.size, field.strides, field.start, where.effective_shape, where.padding),
        strict=True,
    )
    size, start = [], []
    for pixels, step, first, span, (low, _) in axes:
        size.append(pixels + (span - 1) * step)
        start.append(first - low * step)
    steps = tuple(a * b for a, b in zip(field.strides, where.strides, strict=True))
    return Field(tuple(size), steps, tuple(start), where.output_shape)


def _union(one: Field | None, other: Field | None) -> Field | None:
    """What a sum of two maps sees."""
    if one is None or other is None:
        return None
    start = tuple(map(min, one.start, other.start))
    ends = (
        max(a + n, b + m)
        for a, n, b, m in zip(one.start, one.size, other.start, other.size, strict=True)
    )
    size = tuple(end - first for end, first in zip(ends, start, strict=True))
    return Field(size, one.strides, start, one.output_shape)
