"""Draws the window of a convolution or a pool on its way over the input."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.visualize import _animation, live
from jaxcnn.visualize._panels import Panels, panels_of
from jaxcnn.visualize._scene import POOLS, Scene, gradient_scene, sliding_scene
from jaxcnn.visualize._window_figure import (
    add_legend,
    arithmetic,
    draw_step,
    step_size,
    strip_size,
    wrapped,
)
from jaxcnn.visualize._window_values import Values, checked
from jaxcnn.visualize.figures import axes_of, times

_MOST_IN_STRIP = 100


@named
def sliding_window(
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
    step: int | None = None,
    numbers: bool = False,
    inputs: ArrayLike | None = None,
    kernel: ArrayLike | None = None,
    animation: str | Path | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws which input cells each output cell is computed from, one step or all of them.

    The cells are worked out by `jaxcnn.geometry`, as in the primitive of the same name. The padding
    is shown as what it is: zeros, copies of input cells (each with the letter or the number of the
    cell that it shows), or nothing that could win a maximum. A transposed convolution is drawn as
    what computes it: the kernel slides by one cell over the input whose cells lie `strides` apart.

    A notebook shows the figure as a page to play with, which computes anew whatever is changed.

    Args:
      op: "conv", "conv_transpose", "max_pool", "min_pool", "avg_pool" or "sum_pool".
      input_shape: spatial sizes, one axis or two, without batch and channels.
      kernel_size: taps per axis; of a pool, its `window_shape`.
      strides: cells from one window to the next, per axis.
      padding: as the primitive takes it; None for its default, "SAME" in convolutions and "VALID"
        in pools.
      padding_mode: as the primitive takes it; None for its default.
      kernel_dilation: cells between neighbouring taps of a convolution.
      window_dilation: cells between neighbouring taps of a pool.
      input_dilation: cells between neighbouring input cells, of "conv".
      output_padding: cells added at the end of the output, of "conv_transpose".
      ceil_mode: whether the last window of a pool may hang over the end.
      count_include_pad: whether the padding counts in the divisor of "avg_pool".
      step: number of the step to draw, counted from 0 row by row, or from the end if negative; None
        draws all steps as a strip, laid out as the output is, and takes no `ax`.
      numbers: writes a number into each cell and the arithmetic of the current one below.
      inputs: these numbers, `input_shape`; digits of our own when None.
      kernel: the weights, `kernel_size`; of our own when None.
      animation: a file to write besides, all steps one after another: .gif, or .html, a page of its
        own with a slider, which loads nothing.
      title: heading; None for the call in short.
      ax: axes to draw the step on; a new figure is made when None.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: an option is out of range or does not go with `op`, or there are more than 100
        steps to draw as a strip.
      TypeError: an option is of the wrong type.

    Example:
      >>> figure = sliding_window("conv", (7, 7), (3, 3), strides=2, padding="VALID")
      >>> len(figure.axes)  # the nine steps
      9
      >>> figure = sliding_window("max_pool", (4, 4), (2, 2), strides=2, step=0, numbers=True)
      >>> figure.axes[0].get_title()
      'max_pool, window 2×2, strides 2: step 1 of 4'

    References:
      V. Dumoulin and F. Visin, A guide to convolution arithmetic for deep learning, 2016.
    """
    scene = sliding_scene(
        op,
        input_shape,
        kernel_size,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        kernel_dilation=kernel_dilation,
        window_dilation=window_dilation,
        input_dilation=input_dilation,
        output_padding=output_padding,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )
    options = {
        "strides": (strides, 1),
        "padding": (padding, None),
        "padding_mode": (padding_mode, None),
        "kernel_dilation": (kernel_dilation, 1),
        "window_dilation": (window_dilation, 1),
        "input_dilation": (input_dilation, 1),
        "output_padding": (output_padding, 0),
        "ceil_mode": (ceil_mode, False),
        "count_include_pad": (count_include_pad, True),
    }
    heading = title or _heading(scene, options)
    panels = _panels(scene, numbers, inputs, kernel)
    address = live.address(
        op,
        scene.input_shape,
        scene.kernel_size,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        dilation=window_dilation if op in POOLS else kernel_dilation,
        input_dilation=input_dilation,
        output_padding=output_padding,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        inputs=inputs,
        kernel=kernel,
    )
    return _drawn(panels, scene, step, animation, heading, ax, address)


@named
def conv_gradient(
    input_shape: Sequence[int],
    kernel_size: Sequence[int],
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "VALID",
    padding_mode: str = "zeros",
    kernel_dilation: IntPerAxis = 1,
    step: int | None = None,
    numbers: bool = False,
    cotangent: ArrayLike | None = None,
    kernel: ArrayLike | None = None,
    animation: str | Path | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws how the gradient of a convolution's input is computed from that of its output.

        dL/dx[u] = sum over a with u = i*s + a*d - p_lo of dL/dout[i] * kernel[a]

    which is a full convolution: the kernel, turned round, slides by one cell over the gradient of
    the output, whose cells lie `strides` apart.

    Args:
      input_shape: spatial sizes of the convolution's input, one axis or two.
      kernel_size: taps per axis.
      strides: cells from one window of the convolution to the next.
      padding: of the convolution, as `functional.conv` takes it.
      padding_mode: of the convolution.
      kernel_dilation: cells between neighbouring taps.
      step: number of the input cell whose gradient is drawn; None draws all as a strip.
      numbers: writes a number into each cell and the arithmetic below.
      cotangent: the gradient of the output, of the output's shape; of our own when None.
      kernel: the weights, `kernel_size`; of our own when None.
      animation: a file to write besides, .gif or .html.
      title: heading; None for the call in short.
      ax: axes to draw the step on; a new figure is made when None.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: an option is out of range, or there are more than 100 steps to draw as a strip.
      TypeError: an option is of the wrong type.

    Example:
      >>> figure = conv_gradient((5, 5), (3, 3), step=0)
      >>> figure.axes[0].get_title()
      'gradient of conv, kernel 3×3: step 1 of 25'
    """
    scene = gradient_scene(
        input_shape,
        kernel_size,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        kernel_dilation=kernel_dilation,
    )
    options = {
        "strides": (strides, 1),
        "padding": (padding, "VALID"),
        "padding_mode": (padding_mode, "zeros"),
        "kernel_dilation": (kernel_dilation, 1),
    }
    heading = title or _heading(scene, options)
    panels = _panels(scene, numbers, cotangent, kernel, "cotangent")
    address = live.address(
        "conv",
        scene.output_shape,
        scene.kernel_size,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        dilation=kernel_dilation,
        kernel=kernel,
        cotangent=cotangent,
        gradient=True,
    )
    return _drawn(panels, scene, step, animation, heading, ax, address)


def _panels(
    scene: Scene,
    numbers: bool,
    inputs: ArrayLike | None,
    kernel: ArrayLike | None,
    argument: str = "inputs",
) -> Panels:
    """Lays out the scene, with numbers if they are wanted or given."""
    array = checked(argument, inputs, scene.input_shape)
    weights = checked("kernel", kernel, scene.kernel_size)
    wanted = numbers or array is not None or weights is not None
    return panels_of(scene, Values(scene, array, weights) if wanted else None)


def _drawn(
    panels: Panels,
    scene: Scene,
    step: int | None,
    animation: str | Path | None,
    heading: str,
    ax: Axes | None,
    address: str,
) -> Figure:
    """One step or the strip, and the animation's file."""
    count = len(panels.moments)
    if animation is not None:
        _animation.write(Path(animation), panels, heading)
    if step is None:
        if ax is not None:
            raise ValueError("`ax` must be None for a strip of all steps; give a `step`")
        return _strip(panels, scene.output_shape, heading, address)
    number = geometry.whole_number("step", step)
    if not -count <= number < count:
        raise ValueError(f"`step` (={number}) must be one of the {count} steps")
    number %= count
    size = step_size(panels)
    tail = f"step {number + 1} of {count}"
    told = wrapped(heading, tail, size[0] if ax is None else math.inf)
    if ax is None:
        size = size[0], size[1] + 0.2 * told.count("\n")
        at = "" if scene.op == "conv_gradient" else f"&at={number}"
        figure = live.LiveFigure(
            address and address + at, heading, figsize=size, layout="constrained"
        )
        axes = figure.subplots()
    else:
        figure, axes = axes_of(ax, size)
    draw_step(axes, panels, number, told)
    if panels.moments[number].lines:
        axes.text(
            0.5,
            -0.03,
            arithmetic(panels, number),
            transform=axes.transAxes,
            ha="center",
            va="top",
            fontsize=9,
            family="monospace",
        )
    if ax is None:
        add_legend(figure, panels)
    return figure


def _strip(panels: Panels, shape: tuple[int, ...], heading: str, address: str) -> Figure:
    """All steps, each where its output cell lies."""
    count = len(panels.moments)
    if count > _MOST_IN_STRIP:
        raise ValueError(
            f"`step` must be given for more than {_MOST_IN_STRIP} steps; received {count}; "
            "or write an `animation`"
        )
    flat = len(shape) == 1
    columns = min(shape[0], 4) if flat else shape[1]
    rows = -(-count // columns)
    size = strip_size(panels, rows, columns)
    figure = live.LiveFigure(address, heading, figsize=size, layout="constrained")
    figure.suptitle(wrapped(heading, f"all {count} steps", size[0]), fontsize=11)
    for number in range(count):
        told = str(number) if flat else f"{number // columns}, {number % columns}"
        axes = figure.add_subplot(rows, columns, number + 1)
        draw_step(axes, panels, number, f"output [{told}]", small=True)
    add_legend(figure, panels)
    return figure


def _heading(scene: Scene, options: dict[str, tuple[object, object]]) -> str:
    """The call in short: the options that differ from their defaults."""
    pool = scene.op in POOLS
    sizes = times(scene.kernel_size)
    name = "gradient of conv" if scene.op == "conv_gradient" else scene.op
    parts = [f"{name}, {'window' if pool else 'kernel'} {sizes}"]
    for option, (value, usual) in options.items():
        if value != usual:
            parts.append(f"{option} {value}")
    return ", ".join(parts)
