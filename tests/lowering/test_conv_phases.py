"""The phases of a dilated input: which taps see which pixels, and values and gradients."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, geometry, reference
from jaxcnn.lowering import conv_phases
from tests.helpers import value_and_gradients


def one_axis(n, k, s, d, r, padding):
    return geometry.windows(
        (n,), (k,), strides=s, padding=(padding,), dilation=d, input_dilation=r, crop=True
    )


def every_axis():
    for s, d, r in ((1, 1, 2), (1, 1, 3), (1, 1, 4), (2, 1, 3), (2, 3, 2), (3, 2, 6), (2, 2, 2)):
        for k in (1, 2, 3, 5):
            for padding in ((0, 0), (1, 3), (4, 2), (-2, 1), (9, -1)):
                if 5 * r - r + 1 + sum(padding) >= d * (k - 1) + 1:
                    yield one_axis(5, k, s, d, r, padding)


def test_runs_see_every_pixel_that_the_window_sees_and_no_other():
    for windows in every_axis():
        r, s, d = windows.input_dilation[0], windows.strides[0], windows.dilation[0]
        expected = {
            (i, a, (i * s + a * d - windows.padding[0][0]) // r)
            for i in range(windows.output_shape[0])
            for a in range(windows.window_shape[0])
            if (i * s + a * d - windows.padding[0][0]) % r == 0
        }
        period = conv_phases.period(windows, 0)
        seen = [
            (run.start + f + j * period, a, j * run.stride + b * run.dilation - run.low)
            for run in conv_phases.runs(windows, 0)
            for f, taps in enumerate(run.taps)
            for j in range(-(-(windows.output_shape[0] - run.start - f) // period))
            for b, a in enumerate(taps)
        ]
        assert len(seen) == len(set(seen)) and set(seen) == expected, windows


@pytest.mark.parametrize("size, expected", [(2, 1), (3, 2), (4, 1), (5, 2)])
def test_neighbouring_phases_share_a_convolution(size, expected):
    windows = geometry.transposed_windows((5,), (size,), strides=2, padding=0).transposed()
    assert conv_phases.run_count(windows) == expected
    windows = geometry.transposed_windows((5,) * 2, (8, 8), strides=8).transposed()
    assert conv_phases.run_count(windows) == 1


CASES = {
    "1d": ((6,), 3, 4, (4,), dict(input_dilation=2, padding=((3, 2),))),
    "1d strided": ((7,), 3, 4, (5,), dict(input_dilation=6, strides=4, kernel_dilation=3)),
    "1d nothing seen": (
        (5,), 3, 4, (2,),
        dict(input_dilation=2, strides=2, kernel_dilation=2, padding=((1, 0),)),
    ),
    "2d merged, grouped": (
        (4, 5), 6, 4, (2, 3), dict(input_dilation=(2, 3), feature_group_count=2, padding=(1, 2))
    ),
    "2d one axis": ((4, 5), 2, 3, (3, 2), dict(input_dilation=(1, 4), strides=(2, 1))),
    "2d crop": ((4, 5), 2, 3, (3, 2), dict(input_dilation=3, padding=((-4, 1), (7, -5)))),
    "2d depthwise": ((4, 5), 3, 6, (3, 4), dict(input_dilation=2, feature_group_count=3)),
    "3d": ((3, 2, 4), 2, 3, (2, 3, 2), dict(input_dilation=(2, 1, 3), strides=(1, 1, 2))),
    "2d large": ((13, 12), 12, 16, (4, 3), dict(input_dilation=2)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_same_values_and_gradients_as_the_reference(case, rng):
    sizes, in_features, out_features, kernel_size, options = CASES[case]
    groups = options.get("feature_group_count", 1)
    inputs = rng.standard_normal((2, *sizes, in_features))
    kernel = rng.standard_normal((*kernel_size, in_features // groups, out_features))
    expected = reference.conv(inputs, kernel, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, gradients = value_and_gradients(
        functional.conv, cotangent, (inputs, kernel), options | {"algorithm": "phases"}
    )
    np.testing.assert_allclose(outputs, expected, atol=1e-11)
    hand = reference.conv_vjp(cotangent, inputs, kernel, **options)[:2]
    for ours, right in zip(gradients, hand, strict=True):
        np.testing.assert_allclose(ours, right, atol=1e-11)


def test_integers_and_empty_batches(rng):
    inputs = rng.integers(-9, 9, (2, 4, 3)).astype(np.int8)
    kernel = rng.integers(-9, 9, (3, 3, 2)).astype(np.int8)
    options = dict(input_dilation=2, preferred_element_type=jnp.int32)
    for name in ("phases", "direct"):
        outputs = functional.conv(inputs, kernel, algorithm=name, **options)
        assert outputs.dtype == jnp.int32
        np.testing.assert_array_equal(outputs, reference.conv(inputs, kernel, input_dilation=2))
    assert functional.conv(inputs[:0], kernel, **options).shape == (0, 7, 2)


def test_has_no_dilated_input_even_in_its_derivatives(rng):
    inputs, kernel = rng.standard_normal((2, 5, 4, 3)), rng.standard_normal((4, 4, 3, 2))

    def loss(x, k):
        return (functional.conv(x, k, input_dilation=2, algorithm="phases") ** 2).sum()

    traced = jax.jit(jax.grad(loss, (0, 1))).trace(inputs, kernel)
    for platform in ("cpu", "cuda", "tpu"):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert "stablehlo.convolution" in text
        assert not re.search(r"lhs_dilate = \[[^\]]*[2-9]", text)
    dilated = jax.jit(functools.partial(functional.conv, input_dilation=2, algorithm="direct"))
    text = dilated.trace(inputs, kernel).lower(lowering_platforms=("cuda",)).as_text()
    assert re.search(r"lhs_dilate = \[[^\]]*[2-9]", text)
