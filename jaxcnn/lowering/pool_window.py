"""Max and min pooling as XLA's own `reduce_window`, with the tangent of the shifted form.

XLA's derivative of it is a select-and-scatter: slow on a CPU, without a fixed order on a GPU, blind
to the padding, and not there at all for dilated windows. So only the values come from it.
"""

from jax import lax
from jaxtyping import Array

from jaxcnn.geometry import Windows
from jaxcnn.lowering import pool_shift, slices
from jaxcnn.lowering.dtypes import extreme

kept = pool_shift.kept
moved = pool_shift.moved


def extremes(inputs: Array, windows: Windows, largest: bool) -> Array:
    """The values alone."""
    return reduce_window(
        inputs,
        extreme(inputs.dtype, lowest=largest),
        lax.max if largest else lax.min,
        windows,
    )


def found(
    inputs: Array, plane: Array | None, real: Array | None, windows: Windows, largest: bool
) -> tuple[Array, Array | None, pool_shift.Positions]:
    """As `pool_shift` has it, but for the values: see `pool_rule`."""
    _, indices, positions = pool_shift.found(inputs, plane, real, windows, largest)
    return extremes(inputs, windows, largest), indices, positions


def reduce_window(inputs: Array, neutral, reducer, windows: Windows) -> Array:
    """`lax.reduce_window` over the spatial axes.

    It takes no negative amounts, so that windows which `ceil_mode` drops may come along at the end.
    Amounts that are not known are padded, or cropped, first.
    """
    if not windows.known:
        inputs = slices.pad_for_windows(inputs, windows, neutral)
        windows = windows.fitted()
    padding = ((low, max(high, 0)) for low, high in windows.fitted_padding)
    outputs = lax.reduce_window(
        inputs,
        neutral,
        reducer,
        (1, *windows.window_shape, 1),
        (1, *windows.strides, 1),
        ((0, 0), *padding, (0, 0)),
        window_dilation=(1, *windows.dilation, 1),
    )
    shape = (inputs.shape[0], *windows.output_shape, inputs.shape[-1])
    return outputs if outputs.shape == shape else lax.slice(outputs, (0,) * len(shape), shape)
