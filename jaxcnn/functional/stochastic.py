"""Pooling by chance: strong activations are likelier to be passed on."""

from jax import lax
from jaxtyping import Array, Float

from jaxcnn._checks import dtypes, options, pools
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.functional._samples import PRNGKey, drawn, one_key
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.lowering import stochastic
from jaxcnn.lowering.dtypes import widen


@planned("inputs", "samples", "key", convert={"key": one_key}, looks_at=("samples",))
def stochastic_pool(
    inputs: Float[Array, "*batch_and_spatial channels"],
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
    samples: Float[Array, "*batch_and_out channels"] | None = None,
    key: PRNGKey | None = None,
    deterministic: bool = False,
) -> Float[Array, "*batch_and_out channels"]:
    """Draws one element of each window with probability proportional to its value.

        p_a = w_a / sum of w over the window,    w_a = max(x[i*s + a*d], 0)
        out[i] = x[i*s + l*d],  l the first tap with p_0 + ... + p_l > samples[i]
        out[i] = sum over a of p_a * w_a         (deterministic: the expected value, for inference)

    with the taps in row-major order. The element drawn takes the whole gradient, the samples none;
    the expected value has its full gradient. Activations are meant to be non-negative: a negative
    one counts as 0, in the padding too. A window without a positive element gives 0, and its
    gradient is 0. Where infinities or NaN are in a window, one of them comes out (NaN before
    infinity).

    Args:
      inputs: `(*batch, *spatial, channels)` of floats, any number of batch axes, none included.
      window_shape: pixels of a window, a tuple with one int per spatial axis.
      strides: pixels between windows, per spatial axis; None means 1.
      padding: "SAME", "SAME_LOWER", "VALID", "FULL", "CAUSAL", an int, or an int or (low, high)
        pair per spatial axis. A padded pixel is never drawn.
      window_dilation: pixels between neighbouring taps, per spatial axis.
      ceil_mode: whether a last window may hang over the end.
      samples: `(*batch, *out, channels)` in [0, 1), one for each window and channel. On a device,
        where the numbers are not looked at, one outside counts as 0 or as the largest below 1.
      key: draws the samples instead.
      deterministic: returns the expected value; takes neither `samples` nor `key`.
    Returns:
      `(*batch, *out, channels)` in the inputs' dtype; 16-bit floats are computed in float32.
    Raises:
      ValueError: windows that don't fit, samples of another shape, or NumPy's outside [0, 1), not
        exactly one of `samples` and `key`, or one of them although deterministic.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> line = jnp.array([1.0, 3.0, 0.0, 0.0, 2.0, 0.0])[:, None]
      >>> u = jnp.array([[0.2], [0.9]])  # p = 1/4 3/4 0 | 0 1 0
      >>> F.stochastic_pool(line, (3,), 3, samples=u).ravel()
      Array([1., 2.], dtype=float32)
      >>> F.stochastic_pool(line, (3,), 3, deterministic=True).ravel()
      Array([2.5, 2. ], dtype=float32)
      >>> F.stochastic_pool(jnp.ones((8, 7, 7, 3)), (3, 3), 2, key=jax.random.key(0)).shape
      (8, 3, 3, 3)

    References:
      M. Zeiler and R. Fergus, Stochastic pooling for regularization of deep convolutional neural
      networks, 2013.
    """
    dtypes.floating("inputs", inputs)
    batch, windows, _ = pools.windows(
        inputs,
        window_shape,
        strides=strides,
        padding=padding,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
    )
    if options.flag("deterministic", deterministic):
        if samples is not None or key is not None:
            raise ValueError(
                "`deterministic` (=True) takes no `samples` and no `key`, since nothing is drawn; "
                "leave them out"
            )
        return to_run(_expected, batch=batch, windows=windows)
    shape = (*inputs.shape[:batch], *windows.output_shape, inputs.shape[-1])
    return to_run(
        _drawn,
        batch=batch,
        images=("inputs", "samples"),
        draw=drawn(shape, samples, key, inputs),
        windows=windows,
    )


def _expected(inputs: Array, *, windows: Windows) -> Array:
    return stochastic.expected(inputs, windows)


def _drawn(inputs: Array, samples: Array, *, windows: Windows) -> Array:
    return stochastic.drawn(inputs, lax.stop_gradient(widen(samples)), windows)
