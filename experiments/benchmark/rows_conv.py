"""Rows of dense convolution: 1-D, 2-D and 3-D, strided, dilated, with one tap."""

import functools
import math
from collections.abc import Sequence

from flax import nnx

from experiments.benchmark import plain_lax
from experiments.benchmark.registry import Benchmark, register, scaled
from jaxcnn import functional, geometry


def conv(
    name: str,
    inputs: Sequence[int],
    kernel: Sequence[int],
    *,
    strides: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    kernel_dilation: int = 1,
    feature_group_count: int = 1,
    family: str = "convolution",
    flax: bool = False,
    note: str = "",
) -> Benchmark:
    """Adds a convolution of inputs (n, *spatial, in) with a kernel (*size, in / groups, out).

    `flax` adds `nnx.Conv`.
    """
    rank = len(kernel) - 2
    per_axis = functools.partial(geometry.per_axis, rank=rank)
    options = dict(
        strides=per_axis("strides", strides),
        padding=per_axis("padding", padding, minimum=0),
        kernel_dilation=per_axis("kernel_dilation", kernel_dilation),
        feature_group_count=feature_group_count,
    )
    taps = math.prod(kernel[:-1])
    peers = {"lax": functools.partial(plain_lax.conv, **options)}
    if flax:
        peers["flax"] = flax_conv(kernel, **options)
    return register(
        f"conv {name}",
        family,
        [inputs, scaled(taps**-0.5, *kernel)],
        ours=functools.partial(functional.conv, **options),
        peers=peers,
        torch=("conv", options),
        flops=lambda outputs: 2 * outputs.size * taps,
        note=note,
    )


def flax_conv(kernel: Sequence[int], *, padding, **options):
    """`nnx.Conv` as a function of inputs and kernel."""
    *size, per_group, features = kernel
    channels = per_group * options["feature_group_count"]
    pairs = [(amount, amount) for amount in padding]

    def call(inputs, weights):
        layer = nnx.Conv(
            channels,
            features,
            tuple(size),
            padding=pairs,
            use_bias=False,
            kernel_init=lambda *_: weights,
            dtype=weights.dtype,
            param_dtype=weights.dtype,
            rngs=nnx.Rngs(0),
            **options,
        )
        return layer(inputs)

    return call


LEVEL = "level outside of a scan, where lax is fast too; the layout that pays inside costs a little"

conv("3x3, 64 to 64", (64, 32, 32, 64), (3, 3, 64, 64), padding=1, flax=True, note=LEVEL)
conv("3x3, 3 to 64, first layer", (64, 32, 32, 3), (3, 3, 3, 64), padding=1, flax=True, note=LEVEL)
conv("5x5, 1 to 6, LeNet-5", (128, 28, 28, 1), (5, 5, 1, 6), padding=2, flax=True, note=LEVEL)
conv("5x5, 6 to 16, LeNet-5", (128, 14, 14, 6), (5, 5, 6, 16), flax=True, note=LEVEL)
conv("3x3 strides 2, 64 to 128", (64, 32, 32, 64), (3, 3, 64, 128), strides=2, padding=1)
conv("3x3 strides 2, 48 to 96", (24, 40, 40, 48), (3, 3, 48, 96), strides=2, padding=1)
conv("3x3 dilated by 2", (32, 32, 32, 64), (3, 3, 64, 64), kernel_dilation=2, padding=2, note=LEVEL)
conv("3x3 dilated by 8", (8, 32, 32, 64), (3, 3, 64, 64), kernel_dilation=8, padding=8, note=LEVEL)
conv("3x3, 256 to 256", (16, 14, 14, 256), (3, 3, 256, 256), padding=1, note=LEVEL)
conv("3x3, 512 to 512", (16, 7, 7, 512), (3, 3, 512, 512), padding=1, note=LEVEL)
conv("1x1, 256 to 256", (32, 32, 32, 256), (1, 1, 256, 256), flax=True)
conv("1x1 strides 2, 128 to 256", (32, 28, 28, 128), (1, 1, 128, 256), strides=2)
conv("7x7 strides 2, 3 to 64", (4, 224, 224, 3), (7, 7, 3, 64), strides=2, padding=3)
conv("11x11 strides 4, 3 to 64", (8, 224, 224, 3), (11, 11, 3, 64), strides=4, padding=2)
conv("1x7, 128 to 128", (16, 17, 17, 128), (1, 7, 128, 128), padding=(0, 3), note=LEVEL)
conv("1-D, 9 taps, 64 to 64", (32, 1024, 64), (9, 64, 64), padding=4, note=LEVEL)
conv("1-D, 2 taps dilated by 16", (16, 2048, 64), (2, 64, 64), kernel_dilation=16, note=LEVEL)
conv("3-D 3x3x3, 16 to 32", (2, 16, 32, 32, 16), (3, 3, 3, 16, 32), padding=1)
conv("3-D 3x3x3 strides 2, 16 to 32", (4, 16, 32, 32, 16), (3, 3, 3, 16, 32), strides=2, padding=1)
