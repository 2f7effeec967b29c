"""Cases of pools that are no plain sum or maximum: blur, stochastic, norms, unpooling."""

import jax.numpy as jnp
import numpy as np

from jaxcnn import functional, reference
from jaxcnn.testing.registry import distinct, fixed, register, uniform

KINKS = {"differences": False}

_zeros = fixed([[[0.0], [0.0], [1.0]], [[0.0], [0.0], [-2.0]], [[3.0], [-1.0], [0.5]]])

(
    register("lp_pool", functional.lp_pool, reference.lp_pool_vjp)
    .case("p = 2", (2, 6, 5, 2), norm_order=2, window_shape=(2, 3))
    .case("p = 1", (2, 6, 5, 2), norm_order=1, window_shape=(2, 3), checks={"order": 1})
    .case("p = 3, negative values", (2, 7, 8, 2), norm_order=3, window_shape=(3, 2), strides=2)
    .case("p = 2.5, padded", (2, 6, 5, 2), norm_order=2.5, window_shape=(3, 3), padding=1)
    .case("p = inf", distinct(2, 6, 5, 2), norm_order=np.inf, window_shape=(2, 3))
    .case("windows of zeros", _zeros, norm_order=2, window_shape=(2, 2),
          checks={"differences": False, "order": 1})
    .case("window dilation, ceil mode", (2, 7, 8, 2), norm_order=2, window_shape=(3, 2),
          window_dilation=2, strides=2, ceil_mode=True)
)  # fmt: skip

(
    register("logsumexp_pool", functional.logsumexp_pool, reference.logsumexp_pool_vjp)
    .case("2-D", (2, 6, 5, 2), window_shape=(2, 3))
    .case("strides, dilation and padding", (2, 7, 8, 2), window_shape=(3, 2), strides=2,
          window_dilation=2, padding=1)
    .case("ceil mode", (2, 6, 7, 2), window_shape=(3, 3), strides=2, ceil_mode=True)
    .case("large values", uniform(2, 6, 5, 2, low=-800, high=800), window_shape=(2, 3),
          dtypes=("float64", "float32"), checks=KINKS)  # differences step by 6e-6 of the largest
)  # fmt: skip

# name -> (of JAX, of NumPy, the NumPy one's gradients for the left and the right operand)
REDUCERS = {
    "product": (jnp.multiply, np.multiply, lambda h, a, b: (h * b, h * a)),
    "logaddexp": (
        jnp.logaddexp, np.logaddexp,
        lambda h, a, b: (h * np.exp(a - np.logaddexp(a, b)), h * np.exp(b - np.logaddexp(a, b))),
    ),
    "a + b + ab": (
        lambda a, b: a + b + a * b, lambda a, b: a + b + a * b,
        lambda h, a, b: (h * (1 + b), h * (1 + a)),
    ),
}  # fmt: skip


def pool(inputs, init, *, reducer, **options):
    """`functional.pool` with one of `REDUCERS`."""
    return functional.pool(inputs, init, REDUCERS[reducer][0], **options)


def pool_vjp(cotangent, inputs, init, *, reducer, **options):
    """`reference.pool_vjp` with one of `REDUCERS`."""
    _, reduce_fn, reduce_vjp = REDUCERS[reducer]
    return reference.pool_vjp(cotangent, inputs, init, reduce_fn, reduce_vjp, **options)


(
    register("pool", pool, pool_vjp, dtypes=("float64", "float32"))
    .case("product", (2, 6, 5, 2), fixed(1.0), reducer="product", window_shape=(2, 3))
    .case("logaddexp", (2, 6, 5, 2), fixed(-30.0), reducer="logaddexp", window_shape=(3, 2),
          checks={"argnums": 0},  # that of exp(-30) is rounding
          strides=2, padding=1)
    .case("a + b + ab", (2, 7, 8, 2), fixed(0.0), reducer="a + b + ab", window_shape=(3, 2),
          strides=2, window_dilation=2)
)  # fmt: skip

_positions = np.asarray([0, 6, 9, 21, 14, 28], np.int32).reshape(2, 3, 1)

(
    register("max_unpool", functional.max_unpool, reference.max_unpool_vjp, linear=True)
    .case("2-D", (2, 3, 1), fixed(_positions), window_shape=(2, 2), strides=2, output_shape=(5, 6))
    .case("duplicate indices", (2, 3, 1), fixed(_positions % 3), window_shape=(2, 2), strides=2)
)

(
    register("blur_pool", functional.blur_pool, reference.blur_pool_vjp, linear=True)
    .case("2-D", (2, 6, 7, 2), window_shape=(3, 4), strides=2)
    .case("1-D, replicate", (2, 9, 2), window_shape=(5,), strides=2, padding_mode="replicate")
    .case("explicit padding", (2, 6, 7, 2), window_shape=(3, 3), padding=((1, 0), (0, 2)))
)

_draws = np.random.default_rng(5).random((2, 5, 3, 2))

(
    register("stochastic_pool", functional.stochastic_pool, reference.stochastic_pool_vjp,
             dtypes=("float64",))
    .case("drawn", uniform(2, 6, 5, 2, low=0.1), window_shape=(2, 3), samples=_draws)
    .case("negative values", distinct(2, 6, 5, 2), window_shape=(2, 3), samples=_draws)
    .case("strides, dilation and padding", uniform(2, 7, 8, 2, low=0.1), window_shape=(3, 2),
          strides=(2, 3), window_dilation=2, padding=1,
          samples=np.random.default_rng(6).random((2, 3, 3, 2)))
    .case("expected value", uniform(2, 6, 5, 2, low=0.1), window_shape=(2, 3), deterministic=True)
    .case("expected value, padded", uniform(2, 6, 5, 2, low=0.1), window_shape=(3, 3), strides=2,
          padding=1, deterministic=True)
)  # fmt: skip
