"""Cases of pools over sliding windows."""

import numpy as np

from jaxcnn import functional, reference
from jaxcnn.testing.registry import distinct, fixed, register, tied

KINKS = {"differences": False}  # ties, NaN and infinities have no difference quotient

_nan, _inf = np.nan, np.inf
_NAN = fixed(np.array([[1, _nan, 2], [_nan, 2, 0], [3, 4, _nan], [5, 6, 7]])[..., None])

for _name, _lowest in (("max_pool", -_inf), ("min_pool", _inf)):
    (
        register(_name, getattr(functional, _name), getattr(reference, f"{_name}_vjp"))
        .case("2-D", distinct(2, 6, 5, 2), window_shape=(2, 3))
        .case("strides", distinct(2, 7, 8, 2), window_shape=(3, 2), strides=(2, 3))
        .case("same", distinct(2, 6, 5, 2), window_shape=(3, 2), strides=2, padding="SAME")
        .case("explicit padding", distinct(2, 6, 5, 2), window_shape=(3, 3), strides=2,
              padding=((1, 0), (2, 1)))
        .case("window dilation", distinct(2, 7, 8, 2), window_shape=(3, 2), window_dilation=(2, 3))
        .case("dilation, strides and padding", distinct(2, 7, 8, 2), window_shape=(3, 2),
              strides=2, window_dilation=2, padding=1)
        .case("ceil mode", distinct(2, 6, 7, 2), window_shape=(3, 3), strides=2, padding=1,
              ceil_mode=True)
        .case("reflect", distinct(2, 6, 5, 2), window_shape=(3, 3), padding=1,
              padding_mode="reflect", checks=KINKS)
        .case("1-D, causal", distinct(2, 9, 2), window_shape=(3,), padding="CAUSAL")
        .case("3-D", distinct(4, 5, 3, 2), window_shape=(2, 3, 2), strides=(1, 2, 1))
        .case("two batch axes", distinct(2, 2, 5, 4, 2), window_shape=(2, 2), strides=2)
        .case("ties", tied(2, 6, 5, 2), window_shape=(3, 2), checks=KINKS)
        .case("NaN", _NAN, window_shape=(2, 2), checks=KINKS)
        .case("windows of the identity", fixed(np.full((4, 3, 1), _lowest)), window_shape=(3, 2),
              padding=1, checks=KINKS)
        .case("above 8,192 elements", distinct(2, 40, 36, 3), window_shape=(3, 3), strides=2)
    )  # fmt: skip

(
    register("max_pool_with_indices", functional.max_pool_with_indices,
             reference.max_pool_with_indices_vjp)
    .case("2-D", distinct(2, 6, 5, 2), window_shape=(2, 3))
    .case("strides, dilation and padding", distinct(2, 7, 8, 2), window_shape=(3, 2), strides=2,
          window_dilation=2, padding=1)
    .case("ceil mode", distinct(2, 6, 7, 2), window_shape=(3, 3), strides=2, ceil_mode=True)
    .case("ties", tied(2, 6, 5, 2), window_shape=(3, 2), checks=KINKS)
    .case("NaN", _NAN, window_shape=(2, 2), checks=KINKS)
)  # fmt: skip

(
    register("avg_pool", functional.avg_pool, reference.avg_pool_vjp, linear=True)
    .case("2-D", (2, 6, 5, 2), window_shape=(2, 3))
    .case("strides", (2, 7, 8, 2), window_shape=(3, 2), strides=(2, 3))
    .case("counting the padding", (2, 6, 5, 2), window_shape=(3, 3), strides=2, padding=1)
    .case("not counting it", (2, 6, 5, 2), window_shape=(3, 3), strides=2, padding=((1, 0), (2, 1)),
          count_include_pad=False)
    .case("windows in the padding", (2, 4, 5, 2), window_shape=(2, 2), padding=3,
          count_include_pad=False)
    .case("window dilation", (2, 7, 8, 2), window_shape=(3, 2), window_dilation=(2, 3), padding=1)
    .case("ceil mode", (2, 6, 7, 2), window_shape=(3, 3), strides=2, padding=1, ceil_mode=True)
    .case("ceil mode, not counting", (2, 6, 7, 2), window_shape=(3, 3), strides=2, padding=1,
          ceil_mode=True, count_include_pad=False)
    .case("divisor", (2, 6, 5, 2), window_shape=(3, 2), divisor_override=-5)
    .case("reflect", (2, 6, 5, 2), window_shape=(3, 3), padding=1, padding_mode="reflect")
    .case("1-D, same lower", (2, 8, 2), window_shape=(4,), strides=3, padding="SAME_LOWER")
    .case("3-D", (4, 5, 3, 2), window_shape=(2, 3, 2), strides=(1, 2, 1))
    .case("above 8,192 elements", (2, 40, 36, 3), window_shape=(3, 3), strides=2)
)  # fmt: skip

(
    register("sum_pool", functional.sum_pool, reference.sum_pool_vjp, linear=True)
    .case("2-D", (2, 6, 5, 2), window_shape=(2, 3))
    .case("strides, dilation and padding", (2, 7, 8, 2), window_shape=(3, 2), strides=2,
          window_dilation=(2, 1), padding=1)
    .case("ceil mode", (2, 6, 7, 2), window_shape=(3, 3), strides=2, ceil_mode=True)
)  # fmt: skip
