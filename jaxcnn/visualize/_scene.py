"""A sliding window as data: every step of a primitive, from its options.

`jaxcnn.geometry` works everything out, as it does for the primitives. Nothing here draws, and
nothing here knows an array.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence

from jaxcnn import geometry
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.visualize._plane import Cell, Index, Step, Tap, meets_along, slide

POOLS = ("max_pool", "min_pool", "avg_pool", "sum_pool")
OPS = ("conv", "conv_transpose", *POOLS)


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """A whole slide.

    Attributes:
      op: name of the primitive.
      input_shape: spatial sizes of what goes in.
      kernel_size: taps of the window.
      plane: sizes of the dilated and padded input, in cells.
      cells: those of the plane, row by row.
      output_shape: spatial sizes of what comes out.
      steps: one an output cell, row by row.
      names: what the input, the kernel and the output are called.
      flipped: whether the kernel lies on the plane turned round.
    """

    op: str
    input_shape: Index
    kernel_size: Index
    plane: Index
    cells: tuple[Cell, ...]
    output_shape: Index
    steps: tuple[Step, ...]
    names: tuple[str, str, str] = ("input", "kernel", "output")
    flipped: bool = False

    def kernel_at(self, place: Index) -> Index:
        """The kernel's element that lies at `place` of the window."""
        if not self.flipped:
            return place
        return tuple(k - 1 - a for k, a in zip(self.kernel_size, place, strict=True))


def sliding_scene(
    op: str,
    input_shape: Sequence[int],
    kernel_size: Sequence[int],
    *,
    strides: IntPerAxis = 1,
    padding: Padding | None = None,
    padding_mode: str | None = None,
    kernel_dilation: IntPerAxis = 1,
    window_dilation: IntPerAxis = 1,
    input_dilation: IntPerAxis = 1,
    output_padding: IntPerAxis = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Scene:
    """Checks the options of `visualize.sliding_window` and works out every step."""
    if op not in OPS:
        kind = ValueError if isinstance(op, str) else TypeError
        raise kind(f"`op` (={op!r}) must be one of {', '.join(OPS)}")
    sizes, window = shapes(input_shape, kernel_size)
    convs = ("conv", "conv_transpose")
    for argument, value, usual, where in (
        ("kernel_dilation", kernel_dilation, 1, convs),
        ("window_dilation", window_dilation, 1, POOLS),
        ("input_dilation", input_dilation, 1, ("conv",)),
        ("output_padding", output_padding, 0, ("conv_transpose",)),
        ("ceil_mode", ceil_mode, False, POOLS),
        ("count_include_pad", count_include_pad, True, ("avg_pool",)),
    ):
        if isinstance(usual, bool) and not isinstance(value, bool):
            raise TypeError(f"`{argument}` (={value!r}) must be True or False")
        if op not in where and value != usual:
            raise ValueError(
                f"`{argument}` (={value!r}) goes with {', '.join(where)} alone; received "
                f"op {op!r}; leave it out"
            )
    if padding is None:
        padding = "VALID" if op in POOLS else "SAME"
    if op == "conv_transpose":
        return _transposed_scene(
            sizes, window, strides, padding, padding_mode, kernel_dilation, output_padding
        )
    mode = padding_mode or ("identity" if op in POOLS else "zeros")
    if op in POOLS and mode == "identity":
        mode = "zeros" if op in ("avg_pool", "sum_pool") else "identity"
    elif op == "conv":
        dilation = geometry.per_axis("kernel_dilation", kernel_dilation, len(window))
        padding, mode = geometry.fill_and_amounts(padding, mode, window, dilation)
    else:
        geometry.fill_and_amounts("VALID", mode, window, window)
    windows = geometry.windows(
        sizes,
        window,
        strides=strides,
        padding=padding,
        dilation=window_dilation if op in POOLS else kernel_dilation,
        input_dilation=input_dilation,
        ceil_mode=ceil_mode,
        crop=op == "conv" and mode == "zeros",
        window_argument="kernel_size",
        dilation_argument="window_dilation" if op in POOLS else "kernel_dilation",
    )
    if op in ("max_pool", "min_pool") and mode == "identity":
        geometry.refuse_window_in_padding(windows, "kernel_size")
    if not count_include_pad and mode != "zeros":
        raise ValueError(
            f"`count_include_pad` (=False) must be True where padding is filled with "
            f"pixels; received padding_mode {mode!r}"
        )
    plane, cells, steps = slide(windows, mode)
    if op == "avg_pool":
        counts = [
            windows.tap_counts(axis, include_padding=count_include_pad)
            for axis in range(windows.rank)
        ]
        divisors = (max(math.prod(count), 1) for count in itertools.product(*counts))
        steps = tuple(
            dataclasses.replace(step, divisor=divisor)
            for step, divisor in zip(steps, divisors, strict=True)
        )
    return Scene(op, sizes, window, plane, cells, windows.output_shape, steps)


def gradient_scene(
    input_shape: Sequence[int],
    kernel_size: Sequence[int],
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "VALID",
    padding_mode: str = "zeros",
    kernel_dilation: IntPerAxis = 1,
) -> Scene:
    """The gradient of a convolution's input: the flipped kernel slides over the output's gradient.

    It is the full convolution of the output's gradient, its pixels moved apart by the strides.
    """
    sizes, window = shapes(input_shape, kernel_size)
    dilation = geometry.per_axis("kernel_dilation", kernel_dilation, len(window))
    padding, mode = geometry.fill_and_amounts(padding, padding_mode, window, dilation)
    windows = geometry.windows(
        sizes,
        window,
        strides=strides,
        padding=padding,
        dilation=dilation,
        crop=mode == "zeros",
        window_argument="kernel_size",
        dilation_argument="kernel_dilation",
    )
    names = ("gradient of the output", "kernel, turned round", "gradient of the input")
    return _gather("conv_gradient", windows, mode, names, flipped=True)


def shapes(input_shape: object, kernel_size: object) -> tuple[Index, Index]:
    """Returns both shapes if they have one or two axes, the same number."""
    sizes = geometry.axes_tuple("input_shape", input_shape)
    window = geometry.axes_tuple("kernel_size", kernel_size)
    if len(sizes) != len(window) or len(sizes) > 2:
        raise ValueError(
            f"`input_shape` (={sizes}) and `kernel_size` (={window}) must both have one "
            "axis or both two; leave batch and channels out"
        )
    return sizes, window


def _transposed_scene(
    sizes: Index,
    window: Index,
    strides: IntPerAxis,
    padding: Padding,
    padding_mode: str | None,
    kernel_dilation: IntPerAxis,
    output_padding: IntPerAxis,
) -> Scene:
    """As `functional.conv_transpose` reads its arguments."""
    _, mode = geometry.fill_and_amounts(padding, padding_mode or "zeros", (), ())
    if isinstance(padding, str) and padding.upper() == "CIRCULAR":
        padding = "SAME"
    windows = geometry.transposed_windows(
        sizes,
        window,
        strides=strides,
        padding=padding,
        dilation=kernel_dilation,
        output_padding=output_padding,
        crop=mode == "zeros",
    )
    return _gather("conv_transpose", windows, mode, ("input", "kernel", "output"), flipped=False)


def _gather(
    op: str, windows: Windows, mode: str, names: tuple[str, str, str], *, flipped: bool
) -> Scene:
    """The transpose of `windows`, seen from each of its output cells.

    Where the padding of `windows` copies pixels, what arrives there goes to the pixel shown, so
    that one output cell gathers from several places.
    """
    laid = windows if mode == "zeros" else windows.padded()
    transposed = laid.transposed()
    plane, cells, steps = slide(transposed, "zeros")
    if mode != "zeros":
        meets = [meets_along(windows, axis, mode) for axis in range(windows.rank)]
        gathered: dict[Index, tuple[Tap, ...]] = {
            output: () for output in itertools.product(*map(range, windows.sizes))
        }
        for step in steps:
            places = [
                meets[axis](at - windows.padding[axis][0]) for axis, at in enumerate(step.output)
            ]
            output = tuple(source for _, source in places if source is not None)
            gathered[output] += step.taps
        steps = tuple(Step(output, taps) for output, taps in gathered.items())
    return Scene(
        op,
        transposed.sizes,
        windows.window_shape,
        plane,
        cells,
        windows.sizes,
        steps,
        names,
        flipped,
    )
