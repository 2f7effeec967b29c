"""Draws a convolution as a linear map: its matrix, and how often its transpose writes."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import ArrayLike
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcnn import functional
from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.visualize._scene import shapes
from jaxcnn.visualize._window_values import text
from jaxcnn.visualize.figures import axes_of, times


@named
def conv_matrix(
    kernel: ArrayLike,
    input_shape: Sequence[int],
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "VALID",
    padding_mode: str = "zeros",
    kernel_dilation: IntPerAxis = 1,
    transposed: bool = False,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws the matrix W with conv(x) = W x, both x and the result written as one column.

    A row is one window, a column one input cell. Every row holds the same weights, moved along: in
    one dimension the matrix is constant along its diagonals (Toeplitz), in two its blocks are, and
    the blocks along theirs. Backpropagation multiplies by the transpose, and so does the
    transposed convolution. Entries that no tap reaches are blank.

    Args:
      kernel: the weights, `(taps,)` or `(taps, taps)`, for one channel.
      input_shape: spatial sizes of the convolution's input.
      strides: as `functional.conv` takes it.
      padding: as `functional.conv` takes it.
      padding_mode: as `functional.conv` takes it.
      kernel_dilation: as `functional.conv` takes it.
      transposed: draws the transpose, the matrix of the transposed convolution, whose input is the
        convolution's output.
      title: heading; None for the sizes.
      ax: axes to draw on; a new figure is made when None.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: as `functional.conv`, or neither one axis nor two.
      TypeError: as `functional.conv`.

    Example:
      >>> figure = conv_matrix(np.array([1.0, 2.0, 3.0]), (5,))
      >>> figure.axes[0].images[0].get_array().shape
      (3, 5)
    """
    weights = np.asarray(kernel, float)
    sizes, _ = shapes(input_shape, weights.shape)

    def conv(x: jax.Array, w: jax.Array) -> jax.Array:
        return functional.conv(
            x[..., None],
            w[..., None, None],
            strides=strides,
            padding=padding,
            padding_mode=padding_mode,
            kernel_dilation=kernel_dilation,
        )[..., 0]

    by_input = jax.jit(jax.jacobian(conv))
    jacobian = np.asarray(by_input(np.zeros(sizes), weights))
    reached = np.asarray(by_input(np.zeros(sizes), np.ones_like(weights)))
    outputs = jacobian.shape[: len(sizes)]
    matrix = np.ma.masked_array(jacobian, reached == 0).reshape(np.prod(outputs), -1)
    rows, columns, names = outputs, sizes, ("output", "input")
    if transposed:
        matrix, rows, columns, names = matrix.T, sizes, outputs, ("output", "input")
    height, width = matrix.shape
    cell = max(0.09, min(0.34, 9 / width))
    figure, axes = axes_of(ax, (max(4.4, cell * width + 1.6), max(2.2, cell * height + 1.4)))
    signed = bool((matrix < 0).any())
    limit = float(np.abs(matrix).max()) or 1.0
    image = axes.imshow(
        matrix,
        cmap="PuOr_r" if signed else "Wistia",
        vmin=-limit if signed else 0,
        vmax=limit,
    )
    _lines(axes, height, width, rows[-1] if len(rows) > 1 else 0, columns[-1])
    if width <= 26 and height <= 26:
        for row, column in zip(*np.nonzero(~np.ma.getmaskarray(matrix)), strict=True):
            dark = signed and abs(matrix[row, column]) > 0.7 * limit
            axes.text(
                column,
                row,
                text(float(matrix[row, column])),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "black",
            )
    order = ", row by row" if len(sizes) > 1 else ""
    axes.set_xlabel(f"{names[1]} cell{order}" if width > 8 else f"{names[1]} cell")
    axes.set_ylabel(f"{names[0]} cell{order}" if height > 8 else f"{names[0]} cell")
    op = "transposed conv" if transposed else "conv"
    narrow = width < 6  # the title is wider than the matrix then
    told = title or f"{op}{chr(10) if narrow else ' '}as a matrix, {times(matrix.shape)}"
    axes.set_title(told, size=11)
    bar = figure.colorbar(image, ax=axes, shrink=0.9 if height < 20 else 0.4)
    bar.set_label("weight")
    return figure


@named
def overlap_counts(
    input_shape: Sequence[int],
    kernel_size: Sequence[int],
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "VALID",
    output_padding: IntPerAxis = 0,
    kernel_dilation: IntPerAxis = 1,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws how many input cells write into each output cell of a transposed convolution.

    Where the kernel size is no multiple of the strides the counts alternate, and with them the
    brightness of what a decoder paints: the checkerboard. The counts are what the primitive gives
    for an input and a kernel of ones.

    Args:
      input_shape: spatial sizes, one axis or two.
      kernel_size: taps per axis.
      strides: as `functional.conv_transpose` takes it.
      padding: as `functional.conv_transpose` takes it.
      output_padding: as `functional.conv_transpose` takes it.
      kernel_dilation: as `functional.conv_transpose` takes it.
      title: heading; None for the options.
      ax: axes to draw on; a new figure is made when None.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: as `functional.conv_transpose`, or neither one axis nor two.
      TypeError: as `functional.conv_transpose`.

    Example:
      >>> figure = overlap_counts((3,), (3,), strides=2)
      >>> figure.axes[0].images[0].get_array().tolist()
      [[1, 1, 2, 1, 2, 1, 1]]

    References:
      A. Odena, V. Dumoulin and C. Olah, Deconvolution and checkerboard artifacts, 2016.
    """
    sizes, window = shapes(input_shape, kernel_size)
    counted = functional.conv_transpose(
        jax.device_put(np.ones((*sizes, 1))),
        jax.device_put(np.ones((*window, 1, 1))),
        strides=strides,
        padding=padding,
        output_padding=output_padding,
        kernel_dilation=kernel_dilation,
    )
    counts = np.atleast_2d(np.rint(np.asarray(counted)[..., 0]).astype(int))
    height, width = counts.shape
    cell = max(0.16, min(0.36, 8 / width))
    figure, axes = axes_of(ax, (max(4.6, cell * width + 1.6), max(2.0, cell * height + 1.2)))
    most = max(int(counts.max()), 1)
    image = axes.imshow(counts, cmap="cividis", vmin=0, vmax=most)
    if width <= 26 and height <= 26:
        for (row, column), count in np.ndenumerate(counts):
            ink = "black" if count > 0.55 * most else "white"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=ink)
    told = f"kernel {times(window)}, strides {strides}: taps on each output cell"
    axes.set_title(title or told, size=10)
    axes.set_xlabel("output column")
    axes.set_ylabel("output row" if len(sizes) > 1 else "")
    if len(sizes) == 1:
        axes.set_yticks([])
    bar = figure.colorbar(image, ax=axes, shrink=0.9, ticks=range(most + 1))
    bar.set_label("overlapping taps")
    return figure


def _lines(axes: Axes, height: int, width: int, block_height: int, block_width: int) -> None:
    """Thin lines between cells, thicker ones between rows of an image."""
    for position in range(height + 1):
        thick = block_height and position % block_height == 0
        axes.axhline(position - 0.5, color="#808080", linewidth=1.2 if thick else 0.3)
    for position in range(width + 1):
        thick = block_height and position % block_width == 0
        axes.axvline(position - 0.5, color="#808080", linewidth=1.2 if thick else 0.3)
