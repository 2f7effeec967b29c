"""Dilation of an image itself: zeros between its pixels."""

from jaxtyping import Array, Shaped

from jaxcnn import geometry
from jaxcnn._checks import arrays
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.lowering import fill


@planned("inputs")
def dilate(
    inputs: Shaped[Array, "*batch_and_spatial channels"], rate: tuple[int, ...]
) -> Shaped[Array, "*batch_and_dilated channels"]:
    """Puts `rate` - 1 zeros between neighbouring pixels, none before the first or after the last.

        out[n, i*r, j*r, c] = inputs[n, i, j, c],  0 elsewhere:    1 2 3 -> 1 0 2 0 3

    It is what `conv` does first under `input_dilation`, and what the backward pass of a convolution
    with strides does to its cotangent. (A dilated convolution is `conv` with `kernel_dilation`;
    dilation of shapes in an image is `grey_dilation`.) The gradient takes every rate-th pixel.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      rate: pixels from one pixel to its neighbour, a tuple with one int per spatial axis; 1 keeps
        an axis as it is.
    Returns:
      `(*batch, *dilated, channels)`, dilated = r*(n - 1) + 1, in the inputs' dtype.
    Raises:
      ValueError: a rate below 1, too few axes, or an empty spatial or channel axis.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> F.dilate(jnp.array([[1], [2], [3]]), (2,)).ravel()
      Array([1, 0, 2, 0, 3], dtype=int32)
      >>> F.dilate(jnp.ones((8, 4, 4, 3)), (2, 3)).shape
      (8, 7, 10, 3)
    """
    rates = geometry.axes_tuple("rate", rate)
    rank = len(rates)
    batch, sizes, _ = arrays.spatial_batch(inputs, rank, because=f"the rate {rates} has {rank}")
    if 0 in sizes:
        raise ValueError(
            f"`inputs` must have no empty spatial axis; received spatial sizes {sizes} "
            "(only batch axes may be empty)"
        )
    return to_run(fill.dilate, batch=len(batch), by_rows=False, rates=rates)
