"""Convolutions and average pools as matrices."""

from collections.abc import Callable, Sequence

import jax.core
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn._modules.affine import affine
from jaxcnn._modules.still import still


@named
def conv_matrix(
    function: Callable[[Array], Array],
    input_shape: Sequence[int],
    *,
    dtype: DTypeLike = jnp.float32,
) -> Float[Array, "outputs inputs"]:
    """The matrix A of a linear map: function(x).ravel() = A @ x.ravel() + constant.

    The matrix of a convolution is mostly zeros, and its rows are one another's shifts: that is all
    that parameter sharing and locality say. The transposed convolution has the transposed matrix.

    Args:
      function: a layer or a function of one array `(*batch, *spatial, channels)`: a convolution of
        any kind, an average pool, or several one after another. A layer runs in evaluation, and
        stays as it is.
      input_shape: `(*spatial, channels)` of the inputs, without batch axes.
      dtype: floats to compute in.
    Returns:
      `(outputs, inputs)`, both in row-major order, channels last.
    Raises:
      ValueError: the function is not linear but for a constant.
      TypeError: `function` can't be called, or changes a module which it holds.

    Example:
      >>> import functools
      >>> import jax.numpy as jnp
      >>> from jaxcnn import analysis, functional as F
      >>> kernel = jnp.array([1.0, 2.0, 3.0]).reshape(3, 1, 1)
      >>> conv = functools.partial(F.conv, kernel=kernel, padding="VALID")
      >>> analysis.conv_matrix(conv, (5, 1)).astype(int)
      Array([[1, 2, 3, 0, 0],
             [0, 1, 2, 3, 0],
             [0, 0, 1, 2, 3]], dtype=int32)
    """
    run = still("function", function)
    shape = geometry.axes_tuple("input_shape", input_shape)
    matrix, constant = affine(run, shape, dtype)
    probe = np.random.default_rng(0).normal(size=(1, *shape))
    found = run(jax.device_put(probe.astype(np.dtype(dtype))))
    if isinstance(found, jax.core.Tracer):
        return matrix
    expected = (
        np.asarray(matrix, np.float64) @ probe.ravel() + np.asarray(constant, np.float64).ravel()
    )
    scale = 1 + np.abs(expected).max()
    if not np.allclose(np.asarray(found, np.float64).ravel(), expected, rtol=0, atol=0.02 * scale):
        raise ValueError(
            "`function` must be linear but for a constant; what it gives on random inputs "
            "is not its matrix times these"
        )
    return matrix
