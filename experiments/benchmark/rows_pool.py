"""Rows of pools over sliding windows."""

import functools
import math
from collections.abc import Sequence
from typing import Any

from flax import nnx

from experiments.benchmark import plain_lax
from experiments.benchmark.registry import Benchmark, register
from jaxcnn import functional, geometry

CIFAR = (64, 32, 32, 64)


def pool(
    kind: str,
    name: str,
    inputs: Sequence[int],
    window_shape: tuple[int, ...],
    *,
    strides: int = 1,
    padding: int = 0,
    window_dilation: int = 1,
    flax: bool = False,
    note: str = "",
    **more: Any,
) -> Benchmark:
    """Adds the pool `kind`, the first part of a function's name; `flax` adds `nnx`'s own."""
    per_axis = functools.partial(geometry.per_axis, rank=len(window_shape))
    options = dict(
        window_shape=window_shape,
        strides=per_axis("strides", strides),
        padding=per_axis("padding", padding, minimum=0),
        window_dilation=per_axis("window_dilation", window_dilation),
        **more,
    )
    function = f"{kind}_pool"
    peers = {"lax": functools.partial(getattr(plain_lax, function), **options)}
    if flax:
        pairs = [(amount, amount) for amount in options["padding"]]
        peers["flax"] = functools.partial(
            getattr(nnx, function),
            window_shape=window_shape,
            strides=options["strides"],
            padding=pairs,
        )
    return register(
        f"{kind} {name}",
        "max pools" if kind in ("max", "min") else "sum pools",
        [inputs],
        ours=functools.partial(getattr(functional, function), **options),
        peers=peers,
        torch=(function, options),
        flops=lambda outputs: outputs.size * math.prod(window_shape),
        note=note,
    )


SAME = "lax's own program: no two windows share a pixel"

pool("max", "2x2 strides 2", CIFAR, (2, 2), strides=2, flax=True)
pool("max", "2x2 strides 2, LeNet-5", (128, 28, 28, 6), (2, 2), strides=2, flax=True)
pool("max", "3x3 strides 2", CIFAR, (3, 3), strides=2, padding=1, flax=True)
pool("max", "3x3", CIFAR, (3, 3), padding=1, flax=True)
pool("max", "5x5", (32, 32, 32, 64), (5, 5), padding=2)
pool("max", "3x3 dilated by 2", (32, 32, 32, 64), (3, 3), padding=1, window_dilation=2)
pool("max", "31x31", (4, 64, 64, 32), (31, 31), padding=15)
pool("max", "1-D, 4 taps, strides 4", (32, 1024, 64), (4,), strides=4)
pool("max", "3-D 3x3x3 strides 2", (4, 16, 32, 32, 16), (3, 3, 3), strides=2, padding=1)
pool("min", "3x3 strides 2", (32, 32, 32, 64), (3, 3), strides=2, padding=1)
pool("avg", "2x2 strides 2", CIFAR, (2, 2), strides=2, flax=True, note=SAME)
pool("avg", "3x3", CIFAR, (3, 3), padding=1, flax=True,
     note="bound by moving the array once for each axis, and back; blocks of images by lax.map, "
     "which stay in the cache, were no faster")  # fmt: skip
pool("avg", "3x3 strides 2, padding not counted", (32, 32, 32, 64), (3, 3), strides=2, padding=1,
     count_include_pad=False)  # fmt: skip
pool("avg", "13x13", (32, 32, 32, 64), (13, 13), padding=6)
pool("avg", "3-D 2x2x2 strides 2", (4, 16, 32, 32, 16), (2, 2, 2), strides=2, note=SAME)
pool("sum", "3x3 strides 2", (32, 32, 32, 64), (3, 3), strides=2, padding=1)
pool("lp", "3x3 strides 2", (32, 32, 32, 64), (3, 3), strides=2, norm_order=2.0)
pool("logsumexp", "3x3 strides 2", (32, 32, 32, 64), (3, 3), strides=2,
     note="forward: each window is shifted by its own maximum, so that none is lost far below "
     "another; lax's row shifts all by one")  # fmt: skip
