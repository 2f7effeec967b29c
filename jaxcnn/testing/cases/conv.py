"""Cases of convolution with a shared kernel, under its three names."""

import numpy as np

from jaxcnn import functional, reference
from jaxcnn.testing.registry import register

EVERY_DTYPE = ("float64", "float32", "float16", "bfloat16", "complex128", "complex64")

(
    register("conv", functional.conv, reference.conv_vjp, linear=True)
    .case("2-D", (2, 7, 6, 3), (3, 2, 3, 4), dtypes=EVERY_DTYPE)
    .case("bias", (2, 5, 6, 3), (3, 2, 3, 4), (4,))
    .case("1-D, causal", (2, 9, 3), (3, 3, 4), padding="CAUSAL", kernel_dilation=2)
    .case("3-D", (4, 5, 3, 2), (2, 3, 2, 2, 3), padding="VALID", strides=(1, 2, 1))
    .case("no batch axis", (5, 6, 3), (3, 2, 3, 4))
    .case("two batch axes", (2, 2, 5, 4, 3), (3, 2, 3, 4), padding="VALID")
    .case("full", (2, 4, 5, 3), (3, 2, 3, 4), padding="FULL")
    .case("same lower", (2, 6, 5, 3), (2, 4, 3, 4), padding="SAME_LOWER", strides=2)
    .case("asymmetric padding", (2, 6, 5, 3), (3, 2, 3, 4), padding=((0, 2), (3, 1)))
    .case("cropping", (2, 8, 7, 3), (3, 2, 3, 4), padding=((-1, 0), (0, -2)))
    .case("strides", (2, 8, 9, 3), (3, 2, 3, 4), strides=(2, 3))
    .case("1-D, dilation that divides", (2, 12, 3), (2, 3, 4), padding=((3, 0),), kernel_dilation=3)
    .case("kernel dilation", (2, 8, 9, 3), (3, 2, 3, 4), kernel_dilation=(2, 3))
    .case("input dilation", (2, 4, 5, 3), (3, 2, 3, 4), input_dilation=(2, 3))
    .case("strides and both dilations", (2, 5, 4, 3), (3, 2, 3, 4), strides=(2, 1),
          kernel_dilation=(1, 2), input_dilation=(2, 1))
    .case("groups", (2, 6, 5, 4), (3, 2, 2, 6), feature_group_count=2)
    .case("as many groups as channels", (2, 6, 5, 4), (3, 3, 1, 8), feature_group_count=4)
    .case("groups and strides", (2, 6, 7, 6), (3, 2, 2, 6), feature_group_count=3, strides=2)
    .case("flipped kernel", (2, 6, 5, 3), (3, 2, 3, 4), flip_kernel=True, padding="FULL")
    .case("1x1", (2, 4, 5, 3), (1, 1, 3, 4))
    .case("reflect", (2, 6, 5, 3), (3, 2, 3, 4), padding_mode="reflect", padding=((1, 2), (0, 1)))
    .case("replicate", (2, 6, 5, 3), (3, 2, 3, 4), padding_mode="replicate", strides=2)
    .case("circular", (2, 6, 5, 3), (3, 2, 3, 4), padding="CIRCULAR")
    .case("above 8,192 elements", (2, 24, 23, 9), (3, 3, 9, 8), strides=2)
)  # fmt: skip

(
    register("resize_conv", functional.resize_conv, reference.resize_conv_vjp, linear=True)
    .case("nearest", (2, 3, 4, 2), (3, 2, 2, 3))
    .case("linear, bias", (2, 3, 4, 2), (3, 2, 2, 3), (3,), scale=(2, 3), method="linear")
    .case("resized shape", (2, 3, 4, 2), (3, 3, 2, 3), resized_shape=(5, 7), method="linear",
          padding_mode="replicate")
    .case("1-D, nearest to a shape", (2, 4, 2), (3, 2, 3), resized_shape=7, padding="VALID")
)  # fmt: skip


def general_vjp(
    cotangent, lhs, rhs, *, window_strides, padding, lhs_dilation, rhs_dilation,
    feature_group_count=1, dimension_numbers=None,
):  # fmt: skip
    """`reference.conv_vjp` under the names of `lax`; channels and features first by default."""
    first = dimension_numbers is None
    if first:
        cotangent, lhs = np.moveaxis(cotangent, 1, -1), np.moveaxis(lhs, 1, -1)
        rhs = np.moveaxis(rhs, (0, 1), (-1, -2))
    d_lhs, d_rhs, _ = reference.conv_vjp(
        cotangent, lhs, rhs, strides=window_strides, padding=padding, input_dilation=lhs_dilation,
        kernel_dilation=rhs_dilation, feature_group_count=feature_group_count,
    )  # fmt: skip
    if first:
        return np.moveaxis(d_lhs, -1, 1), np.moveaxis(d_rhs, (-1, -2), (0, 1))
    return d_lhs, d_rhs


(
    register("conv_general_dilated", functional.conv_general_dilated, general_vjp, linear=True)
    .case("channels first", (2, 4, 6, 5), (6, 2, 3, 2), window_strides=(2, 1),
          padding=((1, 0), (2, 1)), lhs_dilation=(1, 2), rhs_dilation=(2, 1), feature_group_count=2)
    .case("channels last", (2, 6, 5, 3), (3, 2, 3, 4), window_strides=(1, 2),
          padding=((1, 0), (2, 1)), lhs_dilation=(2, 1), rhs_dilation=(1, 2),
          dimension_numbers=("NHWC", "HWIO", "NHWC"))
    .case("four spatial axes", (2, 2, 4, 3, 2, 3), (3, 2, 2, 1, 2, 2), window_strides=(2, 1, 1, 1),
          padding=((1, 0), (0, 0), (1, 1), (0, 1)), lhs_dilation=(1, 1, 1, 1),
          rhs_dilation=(1, 2, 1, 1))
)  # fmt: skip
