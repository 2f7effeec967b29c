"""Low-pass filtering before subsampling, so that a shifted image gives a shifted output."""

from typing import Any

from jaxtyping import Array, Inexact, Num

from jaxcnn import geometry
from jaxcnn._checks import arrays, dtypes, options
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.lowering import blur, fill
from jaxcnn.lowering.dtypes import widen


@planned("inputs")
def blur_pool(
    inputs: Num[Array, "*batch_and_spatial channels"],
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding | None = None,
    *,
    padding_mode: str = "reflect",
) -> Inexact[Array, "*batch_and_out channels"]:
    """Averages windows with binomial weights, each channel by itself.

        out[n, i, j, c] = sum over a, b of f[a] f[b] x[n, i*s + a, j*s + b, c],
        f[a] = (k - 1 choose a) / 2**(k - 1):    k = 3: 1 2 1 / 4,    k = 5: 1 4 6 4 1 / 16

    with x the padded inputs. What subsamples by `strides` loses frequencies that it would otherwise
    fold back; the paper takes k from 1 to 7 (1 blurs nothing, 2 is an average), and replaces a max
    pool or a convolution with strides by the same with stride 1 and this. Linear; a pixel gets back
    the cotangents of its windows with the same weights.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      window_shape: k, a tuple with one int per spatial axis.
      strides: pixels between windows, per spatial axis; None means 1.
      padding: None, as in the paper, (k - 1) // 2 before and k // 2 after, which gives ceil(n / s)
        windows; or "SAME", "SAME_LOWER", "VALID", "FULL", "CAUSAL", an int, or an int or
        (low, high) pair per spatial axis.
      padding_mode: "reflect" (without repeating the edge), "replicate", "circular" or "zeros".
    Returns:
      `(*batch, *out, channels)`, out = floor((n + p_lo + p_hi - k) / s) + 1, in the inputs' dtype;
      16-bit floats are summed in float32, integers averaged as floats.
    Raises:
      ValueError: windows that don't fit, or an unknown mode.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> line = jnp.array([0.0, 0.0, 4.0, 0.0, 0.0])[:, None]
      >>> F.blur_pool(line, (3,)).ravel()
      Array([0., 1., 2., 1., 0.], dtype=float32)
      >>> F.blur_pool(jnp.ones((8, 15, 16, 3)), (4, 4), strides=2).shape
      (8, 8, 8, 3)

    References: R. Zhang, Making convolutional networks shift-invariant again, 2019.
    """
    dtype = dtypes.averageable(inputs)
    window = geometry.axes_tuple("window_shape", window_shape)
    rank = len(window)
    batch, sizes, _ = arrays.spatial_batch(
        inputs, rank, because=f"`window_shape` (={window}) has {rank}"
    )
    mode = options.choice("padding_mode", padding_mode, geometry.PADDING_MODES)
    windows = geometry.windows(
        sizes,
        window,
        strides=1 if strides is None else strides,
        padding=tuple(((k - 1) // 2, k // 2) for k in window) if padding is None else padding,
    )
    mode = arrays.fill(windows, mode)
    return to_run(_blur, batch=len(batch), windows=windows, fill_mode=mode, dtype=dtype)


def _blur(inputs: Array, *, windows: Windows, fill_mode: str | None, dtype: Any) -> Array:
    laid, windows = fill.lay(widen(inputs.astype(dtype)), windows, fill_mode)
    return blur.blur(laid, windows).astype(dtype)
