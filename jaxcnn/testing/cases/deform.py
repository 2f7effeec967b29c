"""Cases of deformable convolution."""

from jaxcnn import functional, reference
from jaxcnn.testing.registry import register, uniform

# `bias` and `mask` are arrays, and the comparison hands arrays on by position.


def deform_conv(inputs, kernel, offsets, bias=None, mask=None, **options):
    """`functional.deform_conv` with every array by position."""
    return functional.deform_conv(inputs, kernel, offsets, bias=bias, mask=mask, **options)


def deform_conv_vjp(cotangent, inputs, kernel, offsets, bias=None, mask=None, **options):
    """`reference.deform_conv_vjp` with every array by position."""
    return reference.deform_conv_vjp(
        cotangent, inputs, kernel, offsets, bias=bias, mask=mask, **options
    )


# Sampling is piecewise linear in the offsets with kinks at whole pixels, and rounding an offset to
# 16 bits moves the pixel that is read: there the two sides would not read the same pixels.
(
    register("deform_conv", deform_conv, deform_conv_vjp, linear=(0, 1, 3, 4),
             dtypes=("float64", "float32"))
    .case("v1", (2, 5, 6, 2), (3, 2, 2, 3), (2, 3, 5, 12))
    .case("v2: mask, and bias", (2, 5, 6, 2), (3, 2, 2, 3), (2, 3, 5, 12), (3,),
          uniform(2, 3, 5, 6))
    .case("strides, padding and dilation", (2, 6, 7, 2), (3, 2, 2, 3), (2, 3, 3, 12), strides=2,
          padding=((1, 1), (0, 0)), kernel_dilation=(1, 2))
    .case("groups of channels and of offsets", (1, 5, 6, 4), (3, 2, 2, 6), (1, 3, 5, 24),
          feature_group_count=2, offset_group_count=2)
    .case("offsets far outside", (1, 5, 6, 2), (3, 2, 2, 3), uniform(1, 3, 5, 12, low=-7, high=7))
    .case("1-D", (2, 8, 2), (3, 2, 3), (2, 6, 3))
    .case("3-D", (1, 3, 4, 3, 2), (2, 2, 2, 2, 2), (1, 2, 3, 2, 24))
)  # fmt: skip
