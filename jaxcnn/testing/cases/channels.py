"""Cases of convolutions apart by channel or by place: depthwise, separable, local, partial."""

import numpy as np

from jaxcnn import functional, reference
from jaxcnn.testing.registry import fixed, register

(
    register("depthwise_conv", functional.depthwise_conv, reference.depthwise_conv_vjp, linear=True)
    .case("2-D", (2, 6, 5, 3), (3, 2, 3, 1))
    .case("multiplier and bias", (2, 5, 6, 3), (3, 2, 3, 2), (6,))
    .case("1-D, full", (2, 7, 3), (4, 3, 2), padding="FULL")
    .case("3-D", (4, 3, 5, 2), (2, 3, 2, 2, 2), padding="VALID")
    .case("strides", (2, 8, 7, 3), (3, 2, 3, 2), strides=(2, 3))
    .case("kernel dilation", (2, 8, 7, 3), (3, 2, 3, 2), kernel_dilation=(2, 3))
    .case("input dilation", (2, 4, 5, 3), (3, 2, 3, 2), input_dilation=2, strides=3)
    .case("flipped kernel, reflect", (2, 6, 5, 3), (3, 2, 3, 2), flip_kernel=True,
          padding_mode="reflect")
    .case("above 8,192 elements", (2, 24, 23, 9), (3, 3, 9, 1), strides=2)
)  # fmt: skip

(
    register("separable_conv", functional.separable_conv, reference.separable_conv_vjp, linear=True)
    .case("2-D", (2, 6, 5, 3), (3, 2, 3, 2), (1, 1, 6, 4))
    .case("bias and strides", (2, 6, 7, 3), (3, 2, 3, 1), (1, 1, 3, 4), (4,), strides=2)
    .case("1-D, dilated", (2, 9, 3), (3, 3, 2), (1, 6, 4), kernel_dilation=2, padding="VALID")
    .case("above 8,192 elements", (2, 24, 23, 9), (3, 3, 9, 1), (1, 1, 9, 4), strides=2)
)

(
    register("conv_local", functional.conv_local, reference.conv_local_vjp, linear=True)
    .case("2-D", (2, 4, 3, 2), (4, 3, 3, 2, 2, 3))
    .case("bias of each place", (2, 4, 3, 2), (2, 2, 3, 2, 2, 3), (2, 2, 3), padding="VALID")
    .case("strides and dilation", (2, 6, 7, 2), (3, 4, 3, 2, 2, 3), strides=2, kernel_dilation=2)
    .case("1-D, circular", (2, 5, 2), (5, 3, 2, 3), padding_mode="circular")
)

# A third of the pixels are missing, and in the first image a whole corner is.
_known = np.random.default_rng(7).random((2, 6, 5, 1)) < 0.67
_known[0, :4, :4] = False

(
    register("partial_conv", functional.partial_conv, reference.partial_conv_vjp, linear=True)
    .case("2-D", (2, 6, 5, 3), (3, 2, 3, 4), fixed(_known))
    .case("bias and strides", (2, 6, 5, 3), (3, 3, 3, 4), fixed(_known), (4,), strides=2)
    .case("mask of each channel", (2, 6, 5, 3), (3, 2, 3, 4),
          fixed(np.random.default_rng(8).random((2, 6, 5, 3)) < 0.5), padding="VALID")
    .case("all pixels known", (2, 6, 5, 3), (3, 2, 3, 4), fixed(np.ones((6, 5, 1), bool)))
)  # fmt: skip
