"""What a unit sees of the image, layer by layer, from geometry alone."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from fractions import Fraction
from typing import Any

from flax import nnx

from jaxcnn import geometry, models, nn
from jaxcnn.analysis._sight import Sight
from jaxcnn.models.convnext import ConvNeXtBlock
from jaxcnn.models.speed_net import PATCH, Scale, Whitening
from jaxcnn.models.unet import UNetFeatures
from jaxcnn.nn import _arguments, _places
from jaxcnn.nn._layer import ConvLayer
from jaxcnn.nn._still import still

_NAME = "receptive_field"


@dataclass(frozen=True, slots=True)
class Field:
    """Where the units of a feature map look, along each spatial axis.

    Unit i sees the pixels from `start + i * strides`, `size` of them; those outside the image are
    padding. Behind an upsampling neighbouring units may look at the same pixels: these numbers then
    bound what each sees, and `sees` is exact.

    Attributes:
      size: pixels that a unit sees.
      strides: pixels between what a unit and the next one see; fractions where an upsampling gives
        more units than there are pixels.
      start: the first pixel that the first unit sees; negative in the padding.
      output_shape: units.
    """

    size: tuple[int, ...]
    strides: tuple[int | Fraction, ...]
    start: tuple[int, ...]
    output_shape: tuple[int, ...]
    _axes: tuple[Sight, ...] = dataclass_field(repr=False)

    def sees(self, unit: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """The first pixel of the image and the one past the last that a unit sees, per axis.

        Both are 0 where it sees padding alone.
        """
        return tuple(axis.real[index] for axis, index in zip(self._axes, unit, strict=True))


def receptive_field(
    model: nnx.Module | Callable[..., Any], input_shape: Sequence[int]
) -> Field | None:
    """Works out which pixels a unit of the outputs can see.

        size' = size + (e - 1) * strides,   strides' = strides * s,   start' = start - p * strides

    for a layer whose windows span e pixels of its own inputs, s apart, after p of padding. Where
    branches are added or put beside each other, a unit sees what any of them sees. Beware of what a
    unit can see and what it does see: the gradient is large in the middle of the field alone.

    Args:
      model: a layer, an `nn.Chain`, a block of `nn`, or a network or the `features` of one. What a
        function sees, such as one in a chain, is read in its Jaxpr: single elements, the channels
        of a pixel, windows as of a pool.
      input_shape: spatial sizes of the inputs: no batch, no channels.
    Returns:
      The field; None where every unit sees all pixels, as after a flattening.
    Raises:
      ValueError: a window does not fit.
      TypeError: a layer or function of unknown geometry; `visualize.receptive_field` measures any
        function's.

    Example:
      >>> from flax import nnx
      >>> from jaxcnn import analysis, models
      >>> model = nnx.eval_shape(lambda: models.VGG(16, rngs=nnx.Rngs(0)))
      >>> analysis.receptive_field(model.features, (224, 224))
      Field(size=(212, 212), strides=(32, 32), start=(-90, -90), output_shape=(7, 7))
      >>> doubled = nnx.eval_shape(lambda: models.UNet(widths=(4, 8), rngs=nnx.Rngs(0)))
      >>> analysis.receptive_field(doubled, (64, 64)).sees((32, 33))
      ((24, 42), (24, 42))

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
    seen: dict[tuple[Any, ...], Field | None] = {}
    try:
        _after(model, (), _field(map(Sight.of_image, sizes)), seen)
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

    if isinstance(layer, nn.Activation) and not isinstance(layer.function, str):
        layer = layer.function
    if not isinstance(layer, nnx.Module):
        return field and _after_function(layer, field)
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
        return _both_ways(layer, path, field, seen)
    if hasattr(layer, "features") and hasattr(layer, "classifier"):
        return through("features", "classifier")
    if isinstance(layer, _SINGLE) or field is None:
        return field
    if isinstance(layer, _ALL):
        return None
    if isinstance(layer, nn.ConvTranspose):
        return _transposed(field, layer)
    if isinstance(layer, nn.ResizeConv):
        scales = _arguments.spread(layer.scale, len(field.output_shape))
        axes = zip(field._axes, scales, strict=True)
        field = _field(axis.resized(scale, layer.method == "linear") for axis, scale in axes)
    return _windowed(field, *_windows_of(layer, field))


def _both_ways(
    layer: UNetFeatures, path: tuple[Any, ...], field: Field | None, seen: dict
) -> Field | None:
    """The field after the way down and the way up of a U-Net."""
    beside: dict[int, Field | None] = {}
    for level in range(1, len(layer.widths) + 1):
        for name in ("pool", f"down{level}") if level > 1 else ("down1",):
            field = _after(getattr(layer, name), (*path, name), field, seen)
        beside[level] = field
    for level in range(len(layer.widths) - 1, 0, -1):
        name = f"double{level}"
        field = _after(getattr(layer, name), (*path, name), field, seen)
        one, other = beside[level], field
        if one is not None and other is not None:
            sizes = tuple(map(min, one.output_shape, other.output_shape))
            field = _union(_centre(one, sizes), _cropped(other, sizes))
        name = f"up{level}"
        field = _after(getattr(layer, name), (*path, name), field, seen)
    return field


_SINGLE = (nn.Activation, nnx.BatchNorm, nnx.LayerNorm, nnx.Dropout, nnx.Linear, Scale)
_ALL = (nn.Flatten, nn.GlobalPool, nn.AdaptivePool, nn.SpatialPyramidPool, nnx.GroupNorm)


def _windows_of(layer: Any, field: Field) -> tuple[Any, Any, Any, Any, bool]:
    """Window, strides, padding, dilation and ceil_mode of one layer."""
    rank = len(field.output_shape)
    spread = _arguments.spread
    if isinstance(layer, nnx.Conv):
        if spread(layer.input_dilation, rank) == (1,) * rank and len(layer.kernel_size) == rank:
            size, spacing = tuple(layer.kernel_size), spread(layer.kernel_dilation, rank)
            amounts, _ = geometry.fill_and_amounts("Conv", layer.padding, "zeros", size, spacing)  # type: ignore[arg-type]
            return size, spread(layer.strides, rank), amounts, spacing, False
    elif isinstance(layer, ConvLayer) and not isinstance(layer, nn.DeformConv):
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


def _unknown(layer: Any, why: str = "whose windows are unknown") -> TypeError:
    return TypeError(
        f"{_NAME}: `model` holds {_places.told(layer)}, {why}; `visualize.receptive_field` "
        "measures the field of any function"
    )


def _after_function(function: Any, field: Field) -> Field | None:
    """The field after a function that is no module."""
    places = range(1, len(field.output_shape) + 1)
    alone = still(_NAME, "model", function)
    try:
        sees = _places.follow(alone, (2, *field.output_shape), places, field._axes)
    except _places.Unknown as unknown:
        raise _unknown(function, f"of which is unknown what it sees ({unknown})") from None
    return None if sees is None else _field(sees)


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
    return _field(
        axis.windows([tap * space - low for tap in range(taps)], stride, units)
        for axis, taps, space, (low, _), stride, units in zip(
            field._axes,
            where.window_shape,
            where.dilation,
            where.padding,
            where.strides,
            where.output_shape,
            strict=True,
        )
    )


def _transposed(field: Field, layer: nn.ConvTranspose) -> Field:
    """The field after a transposed convolution."""
    rank = len(field.output_shape)
    padding = layer._transposed_padding()
    if padding == "CIRCULAR" or len(layer.kernel_size) != rank:
        raise _unknown(layer)
    where = geometry.transposed_windows(
        _NAME,
        field.output_shape,
        tuple(layer.kernel_size),
        strides=_arguments.spread(layer.strides, rank),
        padding=padding,
        dilation=_arguments.spread(layer.kernel_dilation, rank),
        crop=True,
    )
    axes = zip(
        *(field._axes, where.window_shape, where.dilation, where.padding),
        *(where.strides, where.sizes),
        strict=True,
    )
    try:
        return _field(
            axis.transposed([tap * space - low for tap in range(taps)], stride, units)
            for axis, taps, space, (low, _), stride, units in axes
        )
    except ValueError:  # taps too few for the strides leave gaps
        raise _unknown(layer) from None


def _field(axes: Iterable[Sight]) -> Field:
    """The field of its axes."""
    axes = tuple(axes)
    hulls = [axis.hull() for axis in axes]
    strides = (axis.stride() for axis in axes)
    return Field(
        tuple(size for _, size in hulls),
        tuple(int(s) if s.denominator == 1 else s for s in strides),
        tuple(first for first, _ in hulls),
        tuple(len(axis.real) for axis in axes),
        axes,
    )


def _centre(field: Field, sizes: tuple[int, ...]) -> Field:
    """The middle of a map, as large as `sizes`."""
    lows = [(n - m) // 2 for n, m in zip(field.output_shape, sizes, strict=True)]
    return _field(a.cropped(low, m) for a, low, m in zip(field._axes, lows, sizes, strict=True))


def _cropped(field: Field, sizes: tuple[int, ...]) -> Field:
    """The beginning of a map, as large as `sizes`."""
    return _field(axis.cropped(0, m) for axis, m in zip(field._axes, sizes, strict=True))


def _union(one: Field | None, other: Field | None) -> Field | None:
    """What a sum of two maps sees."""
    if one is None or other is None:
        return None
    return _field(a.union(b) for a, b in zip(one._axes, other._axes, strict=True))
