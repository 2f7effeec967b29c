"""Max pooling by a factor that is no whole number, over randomly spaced windows."""

from collections.abc import Callable
from typing import Any

from jax import lax
from jaxtyping import Array, Float, Int32, Num

from jaxcnn import geometry
from jaxcnn._checks import arrays, dtypes
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.functional._samples import PRNGKey, drawn, one_key
from jaxcnn.lowering import fractional
from jaxcnn.lowering.dtypes import widen
from jaxcnn.lowering.problem import Typed

_random = planned("inputs", "samples", "key", convert={"key": one_key}, looks_at=("samples",))


@_random
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
    return _prepare(fractional.maximum, inputs, window_shape, output_shape, samples, key)


@_random
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
    pool = fractional.maximum_with_indices
    plan = _prepare(pool, inputs, window_shape, output_shape, samples, key)
    arrays.countable_pixels(inputs.shape[-len(window_shape) - 1 : -1])
    return plan


def _prepare(
    pool: Callable[..., Any],
    inputs: Typed,
    window_shape: object,
    output_shape: object,
    samples: object,
    key: object,
) -> Any:
    """Plans both: the maximum of each window, and with its position."""
    dtypes.comparable(inputs)
    window = geometry.axes_tuple("window_shape", window_shape)
    counts = geometry.axes_tuple("output_shape", output_shape)
    if len(window) != len(counts):
        raise ValueError(
            f"`window_shape` (={window}) and `output_shape` (={counts}) must have one "
            "entry per spatial axis each"
        )
    batch, sizes, channels = arrays.spatial_batch(
        inputs, len(window), because=f"`window_shape` (={window}) has {len(window)}"
    )
    arrays.filled_axes(inputs, sizes)
    arrays.known_sizes(inputs, sizes, "for they say where windows may start")
    for axis, (n, k, m) in enumerate(zip(sizes, window, counts, strict=True)):
        if n < k + m - 1:
            raise ValueError(
                f"`output_shape` (={counts}) must be at most n - k + 1; received "
                f"spatial sizes {sizes} and `window_shape` {window}, which leave room for "
                f"{max(n - k + 1, 0)} along spatial axis {axis}; take smaller windows or fewer"
            )
    return to_run(
        _pool,
        batch=len(batch),
        by_rows=False,
        images=("inputs", "samples"),
        draw=drawn((*batch, channels, len(window)), samples, key, inputs),
        pool=pool,
        window_shape=window,
        output_shape=counts,
    )


def _pool(
    inputs: Array, samples: Array, *, pool: Callable[..., Any], **shapes: tuple[int, ...]
) -> Any:
    return pool(inputs, lax.stop_gradient(widen(samples)), **shapes)
