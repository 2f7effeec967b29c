"""Rows of transposed convolution."""

import functools
import math
from collections.abc import Sequence

from experiments.benchmark import plain_lax
from experiments.benchmark.registry import Benchmark, register, scaled
from experiments.benchmark.rows_conv import LEVEL
from jaxcnn import functional, geometry


def conv_transpose(
    name: str,
    inputs: Sequence[int],
    kernel: Sequence[int],
    *,
    strides: int | tuple[int, ...],
    padding: int = 0,
    output_padding: int = 0,
    feature_group_count: int = 1,
    note: str = "",
) -> Benchmark:
    """Adds a transposed convolution with a kernel (*size, in / groups, out)."""
    per_axis = functools.partial(geometry.per_axis, rank=len(kernel) - 2)
    options = dict(
        strides=per_axis("strides", strides),
        padding=per_axis("padding", padding, minimum=0),
        output_padding=per_axis("output_padding", output_padding, minimum=0),
        feature_group_count=feature_group_count,
    )
    per_input = 2 * math.prod(kernel[:-2]) * kernel[-1] // feature_group_count
    return register(
        f"transposed {name}",
        "transposed",
        [inputs, scaled(math.prod(kernel[:-1]) ** -0.5, *kernel)],
        ours=functools.partial(functional.conv_transpose, **options),
        peers={"lax": functools.partial(plain_lax.conv_transpose, **options)},
        torch=("conv_transpose", options),
        flops=lambda outputs: per_input * math.prod(inputs),
        note=note,
    )


conv_transpose("4x4 strides 2, 128 to 64", (16, 16, 16, 128), (4, 4, 128, 64), strides=2, padding=1)
conv_transpose(
    "3x3 strides 2, 128 to 64", (16, 16, 16, 128), (3, 3, 128, 64), strides=2, padding=1,
    output_padding=1,
)  # fmt: skip
conv_transpose("2x2 strides 2, 128 to 64", (16, 16, 16, 128), (2, 2, 128, 64), strides=2)
conv_transpose("3x3, 64 to 64", (16, 28, 28, 64), (3, 3, 64, 64), strides=1, padding=1,
               note=LEVEL)  # fmt: skip
conv_transpose("4x4 strides 2, 4 groups of 16", (16, 16, 16, 64), (4, 4, 16, 64), strides=2,
               padding=1, feature_group_count=4)  # fmt: skip
conv_transpose("1-D, 8 taps, strides 4", (16, 256, 64), (8, 64, 32), strides=4, padding=2)
conv_transpose("3-D 2x2x2 strides 2", (2, 8, 16, 16, 64), (2, 2, 2, 64, 32), strides=2)
