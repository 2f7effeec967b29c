"""Rows of all else that works window by window."""

import functools
import math

import numpy as np

from experiments.benchmark import plain_lax
from experiments.benchmark.registry import register, scaled
from jaxcnn import functional

FAMILY = "other windows"


def indices_of_pairs(rng: np.random.Generator) -> np.ndarray:
    """Where the maxima of windows of 2x2 could lie in images of 32x32: (32, 16, 16, 64)."""
    within = rng.integers(0, 2, (2, 32, 16, 16, 64), np.int32)
    row, column = np.meshgrid(np.arange(16), np.arange(16), indexing="ij")
    rows = 2 * row[None, :, :, None] + within[0]
    columns = 2 * column[None, :, :, None] + within[1]
    return (32 * rows + columns).astype(np.int32)


def adaptive(
    reduce: str, name: str, inputs: tuple[int, ...], output_shape: tuple[int, ...]
) -> None:
    """Adds an adaptive pool; `reduce` is "mean" or "max"."""
    short = {"mean": "avg", "max": "max"}[reduce]
    register(
        f"adaptive {short} {name}",
        FAMILY,
        [inputs],
        ours=functools.partial(
            getattr(functional, f"adaptive_{short}_pool"), output_shape=output_shape
        ),
        peers={
            "lax": functools.partial(
                plain_lax.adaptive_pool, output_shape=output_shape, reduce=reduce
            )
        },
        torch=("adaptive_pool", dict(output_shape=output_shape, reduce=reduce)),
        flops=lambda outputs: math.prod(inputs),
    )


adaptive("mean", "14x14 to 7x7", (32, 14, 14, 256), (7, 7))
adaptive("mean", "13x13 to 6x6", (32, 13, 13, 256), (6, 6))
adaptive("max", "13x13 to 6x6", (32, 13, 13, 256), (6, 6))

NOTES = {
    "mean": "lax's own program",
    "max": "the first of equal maxima takes the gradient, and is looked for; lax shares it out",
}
for _reduce, _short in (("mean", "avg"), ("max", "max")):
    register(
        f"global {_short} of 14x14",
        FAMILY,
        [(32, 14, 14, 256)],
        ours=getattr(functional, f"global_{_short}_pool"),
        peers={"lax": functools.partial(plain_lax.global_pool, reduce=_reduce)},
        torch=("adaptive_pool", dict(output_shape=(1, 1), reduce=_reduce, squeeze=True)),
        flops=lambda outputs: 32 * 14 * 14 * 256,
        note=NOTES[_reduce],
    )

register(
    "unpool 2x2",
    FAMILY,
    [(32, 16, 16, 64), indices_of_pairs],
    ours=functools.partial(functional.max_unpool, window_shape=(2, 2), strides=2),
    peers={"lax": functools.partial(plain_lax.max_unpool, output_shape=(32, 32))},
    torch=("max_unpool", dict(window_shape=(2, 2))),
    flops=lambda outputs: outputs.size,
    note="forward: of equal indices the last wins on every device, and is looked for first; lax "
    "leaves that open",
)
register(
    "deform 3x3, 64 to 64",
    FAMILY,
    [(4, 28, 28, 64), scaled(1 / 24, 3, 3, 64, 64), scaled(2, 4, 26, 26, 18)],
    ours=lambda inputs, kernel, offsets: functional.deform_conv(inputs, kernel, offsets),
    peers={"lax": plain_lax.deform_conv},
    flops=lambda outputs: outputs.size * 2 * 9 * 64 + 4 * 26 * 26 * 9 * 64 * 8,
    note="backward: a scatter-add in both, but not by ours on a GPU",
)
register(
    "grey dilation 3x3",
    FAMILY,
    [(16, 32, 32, 32), (3, 3, 32)],
    ours=functools.partial(functional.grey_dilation, padding="VALID"),
    peers={"lax": plain_lax.grey_dilation},
    torch=("grey_dilation", {}),
    flops=lambda outputs: outputs.size * 18,
)
register(
    "unfold 3x3",
    FAMILY,
    [(32, 32, 32, 32)],
    ours=functools.partial(functional.unfold, window_shape=(3, 3)),
    peers={"lax": functools.partial(plain_lax.unfold, window_shape=(3, 3))},
    torch=("unfold", dict(window_shape=(3, 3))),
    flops=lambda outputs: outputs.size,
)
register(
    "fold 3x3",
    FAMILY,
    [(32, 30, 30, 3, 3, 32)],
    ours=functools.partial(functional.fold, output_shape=(32, 32)),
    peers={"lax": functools.partial(plain_lax.fold, output_shape=(32, 32))},
    flops=lambda outputs: outputs.size * 9,
)
register(
    "blur 3x3 s2",
    FAMILY,
    [(32, 32, 32, 64)],
    ours=functools.partial(
        functional.blur_pool, window_shape=(3, 3), strides=2, padding_mode="zeros"
    ),
    peers={"lax": plain_lax.blur_pool},
    flops=lambda outputs: outputs.size * 9,
)
for _method in ("nearest", "linear"):
    _options = dict(resized_shape=(32, 32), method=_method)
    register(
        f"resize {_method} 16 to 32, conv 3x3",
        FAMILY,
        [(32, 16, 16, 64), scaled(1 / 24, 3, 3, 64, 64)],
        ours=functools.partial(functional.resize_conv, **_options),
        peers={"lax": functools.partial(plain_lax.resize_conv, **_options)},
        flops=lambda outputs: outputs.size * 2 * 9 * 64,
    )
