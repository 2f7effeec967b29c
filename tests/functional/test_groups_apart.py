"""What is no number, or very large, in one group of channels changes no bit of another group."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import functional as F
from jaxcnn import nn

NHWC = ("NHWC", "HWIO", "NHWC")


def layer(kind, *args, **options):
    """A module as a function of pixels and its kernel."""

    def call(x, kernel):
        made = kind(*args, rngs=nnx.Rngs(0), dtype=x.dtype, param_dtype=x.dtype, **options)
        made.kernel[...] = kernel
        return made(x)

    return call


def deform(x, kernel):
    offsets = np.random.default_rng(1).standard_normal((2, 6, 5, 18)).astype(x.dtype)
    return F.deform_conv(x, kernel, offsets, padding=1, feature_group_count=3)


# name -> groups, function of pixels and kernel, channels of the pixels, shape of the kernel, the
# kernel's axis of all groups
CASES = {
    "conv": (3, functools.partial(F.conv, feature_group_count=3), 6, (3, 2, 2, 9), -1),
    "conv, strides": (
        2, functools.partial(F.conv, strides=2, feature_group_count=2), 16, (3, 3, 8, 16), -1,
    ),
    "conv, many groups": (
        12, functools.partial(F.conv, feature_group_count=12), 72, (3, 2, 6, 72), -1,
    ),
    "conv, 1x1": (3, functools.partial(F.conv, feature_group_count=3), 6, (1, 1, 2, 48), -1),
    "conv, groups": (
        3, functools.partial(F.conv, feature_group_count=3, algorithm="groups"), 6, (2, 2, 2, 3),
        -1,
    ),
    "conv, taps": (
        3, functools.partial(F.conv, feature_group_count=3, algorithm="taps"), 6, (5, 4, 2, 6), -1,
    ),
    "conv_transpose": (
        3, functools.partial(F.conv_transpose, strides=2, feature_group_count=3), 6, (3, 2, 2, 6),
        -1,
    ),
    "conv_transpose, its kernel": (
        2,
        functools.partial(
            F.conv_transpose, strides=(2, 1), feature_group_count=2, transpose_kernel=True
        ),
        16, (3, 2, 8, 16), -1,
    ),
    "depthwise_conv": (4, F.depthwise_conv, 4, (3, 3, 4, 2), -2),
    "depthwise_conv, many taps": (4, F.depthwise_conv, 4, (13, 7, 4, 1), -2),
    "conv_general_dilated": (
        3,
        lambda x, k: F.conv_general_dilated(
            x, k, (1, 2), "SAME", dimension_numbers=NHWC, feature_group_count=3
        ),
        6, (3, 2, 2, 9), -1,
    ),
    "deform_conv": (3, deform, 6, (3, 3, 2, 6), -1),
    "nn.Conv": (
        3, layer(nn.Conv, 6, 9, (3, 3), feature_group_count=3, use_bias=False), 6, (3, 3, 2, 9), -1,
    ),
    "nn.DepthwiseConv": (
        4, layer(nn.DepthwiseConv, 4, (3, 3), use_bias=False), 4, (3, 3, 4, 1), -2,
    ),
}  # fmt: skip


def of_group(array, groups, axis):
    """The array's part of each group: (groups, ...)."""
    return np.stack(np.split(np.asarray(array), groups, axis))


@pytest.mark.parametrize("name", CASES)
def test_a_group_reaches_no_other(name):
    groups, function, channels, shape, kernel_axis = CASES[name]
    rng = np.random.default_rng(3)
    arguments = [
        rng.standard_normal((2, 6, 5, channels)).astype(np.float32),
        rng.standard_normal(shape).astype(np.float32),
    ]
    outputs = jax.eval_shape(function, *arguments)
    arguments.append(rng.standard_normal(outputs.shape).astype(np.float32))
    axes = (-1, kernel_axis, -1)

    @jax.jit
    def run(x, k, cotangent):
        values, pullback = jax.vjp(function, x, k)
        _, moved = jax.jvp(function, (x, k), (jnp.ones_like(x), jnp.ones_like(k)))
        return values, moved, *pullback(cotangent)

    def apart(arrays):
        found = run(*arrays)
        return [
            of_group(*pair) for pair in zip(found, (groups,) * 4, (-1, -1, *axes[:2]), strict=True)
        ]

    clean = apart(arguments)
    for place in range(3):
        for value in (np.nan, np.inf, 1e8):
            hostile = list(map(np.copy, arguments))
            parts = np.split(hostile[place], groups, axes[place])  # views
            parts[1].flat[parts[1].size // 2] = value
            for found, right in zip(apart(hostile), clean, strict=True):
                for group in set(range(groups)) - {1}:
                    np.testing.assert_array_equal(found[group], right[group])
    assert not np.isnan(clean[0]).any()
