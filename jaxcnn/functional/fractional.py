"""Max pooling by a factor that is no whole number, over randomly spaced windows."""

from collections.abc import Callable
from typing import TypeVar

from jaxtyping import Array, Float, Int32, Key, Num, UInt32

from jaxcnn import geometry
from jaxcnn.functional import _arguments, _dtypes, _meshes, _samples
from jaxcnn.lowering import fractional

R = TypeVar("R")
PRNGKey = Key[Array, ""] | UInt32[Array, "_"]


def fractional_max_pool(
    inputs: Num[Array, "*batch_and_spatial channels"],
    window_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    *,
    samples: Float[Array, "*batch channels d"] | None = None,
    key: PRNGKey | None = None,
) -> Num[Array, "*batch_and_out channels"]:
    """Takes the maximum of windows spaced at random, so that the size may shrink by any factor.

        out[n, i, c] = max over 0 <= a < k of x[n, start_i + a, c]
        start_i = floor((i + u)*alpha) - floor(u*alpha),  alpha = (n - k) / (m - 1),
        the last start n - k

    along each axis of n pixels and m outputs, u = samples[n, c, axis]: every image and channel has
    its own spacing. The steps between starts are floor(alpha) or ceil(alpha), pseudorandom in the
    terms of the paper; windows overlap where k is larger. Ties and NaN are as in `max_pool`: the
    first in row-major order takes the whole gradient. The samples have none.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      window_shape: k, pixels of a window, a tuple with one int per spatial axis.
      output_shape: m, windows, a tuple with one int per spatial axis; at most n - k + 1.
      samples: `(*batch, channels, d)` in [0, 1), one for each of the d spatial axes, in their
        order (PyTorch's 2-D pool reads them in the reverse order). On a device, where the numbers
        are not looked at, one outside still gives windows within the image.
      key: draws the samples instead.
    Returns:
      `(*batch, *output_shape, channels)` in the inputs' dtype.
    Raises:
      ValueError: windows that don't fit, samples of another shape, or NumPy's outside [0, 1), both
        or neither of `samples` and `key`.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> line, u = jnp.arange(9.0)[:, None], jnp.array([[0.5]])
      >>> F.fractional_max_pool(line, (2,), (5,), samples=u).ravel()  # starts 0 2 4 6 7
      Array([1., 3., 5., 7., 8.], dtype=float32)
      >>> F.fractional_max_pool(jnp.ones((8, 9, 7, 3)), (2, 2), (6, 5), key=jax.random.key(0)).shape
      (8, 6, 5, 3)

    References: B. Graham, Fractional max-pooling, 2014.
    """
    function = "fractional_max_pool"
    checked = _prepare(function, inputs, window_shape, output_shape, samples, key)
    return _spread(fractional.maximum, *checked)


def fractional_max_pool_with_indices(
    inputs: Num[Array, "*batch_and_spatial channels"],
    window_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    *,
    samples: Float[Array, "*batch channels d"] | None = None,
    key: PRNGKey | None = None,
) -> tuple[Num[Array, "*batch_and_out channels"], Int32[Array, "*batch_and_out channels"]]:
    """Does as `fractional_max_pool`, and says where in the spatial plane each maximum lies.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      window_shape: pixels of a window, a tuple with one int per spatial axis.
      output_shape: windows, a tuple with one int per spatial axis.
      samples: `(*batch, channels, d)` in [0, 1), in the order of the spatial axes.
      key: draws the samples instead.
    Returns:
      outputs: `(*batch, *output_shape, channels)` in the inputs' dtype.
      indices: the same shape, int32: the row-major position of the element that takes the gradient,
        as `max_unpool` reads it.
    Raises:
      ValueError: windows that don't fit, samples of another shape, or NumPy's outside [0, 1), both
        or neither of `samples` and `key`, or positions that do not fit int32.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> line, u = jnp.array([5.0, 1, 4, 4, 0, 2, 9, 3, 6])[:, None], jnp.array([[0.5]])
      >>> F.fractional_max_pool_with_indices(line, (2,), (5,), samples=u)[1].ravel()
      Array([0, 2, 5, 6, 8], dtype=int32)
    """
    function = "fractional_max_pool_with_indices"
    checked = _prepare(function, inputs, window_shape, output_shape, samples, key)
    _arguments.countable_pixels(function, checked[0].shape[-len(checked[2]) - 1 : -1])
    return _spread(fractional.maximum_with_indices, *checked)


def _spread(
    pool: Callable[..., R],
    inputs: Array,
    samples: Array,
    window_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
) -> R:
    """Calls `pool` where the inputs lie, with the samples beside them."""
    return _meshes.on_devices(
        lambda inputs, samples: pool(inputs, samples, window_shape, output_shape),
        {"inputs": inputs, "samples": samples},
        lambda: (samples.ndim - 2, ["inputs", "samples"]),
    )


def _prepare(
    function: str,
    inputs: object,
    window_shape: object,
    output_shape: object,
    samples: object,
    key: object,
) -> tuple[Array, Array, tuple[int, ...], tuple[int, ...]]:
    """Checks everything and returns inputs, samples, window shape and output shape."""
    array = _dtypes.comparable(function, _arguments.array(function, "inputs", inputs))
    window = geometry.axes_tuple(function, "window_shape", window_shape)
    counts = geometry.axes_tuple(function, "output_shape", output_shape)
    if len(window) != len(counts):
        raise ValueError(
            f"{function}: `window_shape` (={window}) and `output_shape` (={counts}) must have one "
            "entry per spatial axis each"
        )
    batch, sizes, channels = _arguments.spatial_batch(
        function, array, len(window), because=f"`window_shape` (={window}) has {len(window)}"
    )
    _arguments.filled_axes(function, array, sizes)
    _arguments.known_sizes(function, array, sizes, "for they say where windows may start")
    for axis, (n, k, m) in enumerate(zip(sizes, window, counts, strict=True)):
        if n < k + m - 1:
            raise ValueError(
                f"{function}: `output_shape` (={counts}) must be at most n - k + 1; received "
                f"spatial sizes {sizes} and `window_shape` {window}, which leave room for "
                f"{max(n - k + 1, 0)} along spatial axis {axis}; take smaller windows or fewer"
            )
    drawn = _samples.uniform(function, (*batch, channels, len(window)), samples, key, array.dtype)
    return array, drawn, window, counts
