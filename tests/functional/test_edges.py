"""Numbers at the edge of a dtype and windows at the edge of an image: the stated results.

Every primitive's first case of the gradient comparison meets NaN and infinities here, one at a
time. What overflows is pinned by hand: the float64 reference does not overflow.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F
from jaxcnn import reference
from jaxcnn.testing import primitives

CASES = {
    name: next(iter(entry.cases.values()))
    for name, entry in primitives().items()
    if hasattr(reference, name) and "float32" in entry.dtypes
}


def is_close(found, expected):
    """Whether equal, infinities and NaN in the same places; finite ones to float32's rounding."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    finite = np.isfinite(expected)
    largest = np.abs(expected[finite]).max(initial=1)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-4, atol=1e-5 * largest)


@functools.cache
def program(name):
    """A case's arrays, where in them the floats are, and value and gradients as one program."""
    case, rng = CASES[name], np.random.default_rng(5)
    arrays = [np.asarray(draw(rng, np.dtype(np.float32))) for draw in case.draws]
    floats = [i for i, array in enumerate(arrays) if array.dtype.kind == "f"]

    @jax.jit
    def run(cotangent, *values):
        def fn(*values):
            given = dict(zip(floats, values, strict=True))
            outputs = case.fn(*(given.get(i, array) for i, array in enumerate(arrays)))
            return outputs if isinstance(outputs, jax.Array) else outputs[0]

        outputs, pullback = jax.vjp(fn, *values)
        return outputs, pullback(jnp.broadcast_to(cotangent, outputs.shape))

    return arrays, floats, run


def by_hand(name, arguments, cotangent):
    """The reference's outputs, None for `pool`, and its gradient of each argument."""
    case = CASES[name]
    wide = [np.asarray(a, np.float64) if a.dtype.kind == "f" else a for a in arguments]
    with np.errstate(invalid="ignore", over="ignore"):
        outputs = None
        if name != "pool":  # its reference takes the reducer as a name
            outputs = getattr(reference, name)(*wide, **case.reference_options)
        gradients = case.vjp(np.asarray(cotangent, np.float64), *wide)
    outputs = outputs[0] if isinstance(outputs, tuple) else outputs
    return outputs, gradients if isinstance(gradients, tuple) else (gradients,)


@pytest.mark.parametrize("name", CASES)
def test_one_nan_or_infinity_goes_where_the_definition_says(name):
    """Into the windows that hold it and back from those, as in the reference; nowhere else."""
    arrays, floats, run = program(name)
    for value in (np.nan, np.inf, -np.inf):
        hostile = arrays[0].copy()
        hostile.flat[hostile.size // 2] = value
        arguments = [hostile, *arrays[1:]]
        outputs, gradients = run(np.float32(1), *(arguments[i] for i in floats))
        expected, by_argument = by_hand(name, arguments, np.ones(outputs.shape))
        if expected is not None:
            is_close(outputs, expected)
        for position, gradient in zip(floats, gradients, strict=True):
            if by_argument[position] is not None:
                is_close(gradient, by_argument[position])


# Of these another element may win, and take the gradient.
SELECTING = ("max_", "min_", "grey_", "pyramid", "stochastic")


@pytest.mark.parametrize("name", CASES)
def test_what_does_not_see_a_pixel_keeps_every_bit_whatever_it_holds(name):
    """A NaN in the reference shows who sees it, in value and gradient; all others stay as is."""
    arrays, floats, run = program(name)
    values = [arrays[i] for i in floats]
    clean_outputs, clean_gradients = run(np.float32(1), *values)
    for place in range(2):  # a pixel, then what comes back of an output
        poisoned = [np.copy(arrays[0]), np.ones(clean_outputs.shape, np.float32)]
        poisoned[place].flat[poisoned[place].size // 2] = np.nan
        expected, by_argument = by_hand(name, [poisoned[0], *arrays[1:]], poisoned[1])
        poisoned[place][np.isnan(poisoned[place])] = 1e8
        outputs, gradients = run(poisoned[1], poisoned[0], *values[1:])
        if expected is not None:
            unseen = ~np.isnan(expected)
            np.testing.assert_array_equal(outputs[unseen], clean_outputs[unseen])
        if place == 0 and any(word in name for word in SELECTING):
            continue
        for position, gradient, clean in zip(floats, gradients, clean_gradients, strict=True):
            if by_argument[position] is not None:
                unseen = ~np.isnan(by_argument[position])
                np.testing.assert_array_equal(*(np.where(unseen, g, 0) for g in (gradient, clean)))


def four(value, dtype=np.float32):
    """One window of four equal pixels."""
    return np.full((4, 1), value, dtype)


HALF = functools.partial(four, 65504, np.float16)
ONES = np.ones((4, 1, 1))
INF = np.inf
# function -> (pixels, the one output, gradient of each pixel)
STATED = {
    "max": (lambda x: F.max_pool(x, (4,)), four(1e38), 1e38, [1, 0, 0, 0]),
    "sum": (lambda x: F.sum_pool(x, (4,)), four(1e38), INF, [1] * 4),
    "average, its sum overflows": (lambda x: F.avg_pool(x, (4,)), four(1e38), INF, [0.25] * 4),
    "average of three": (lambda x: F.avg_pool(x[:3], (3,)), four(1e38), 1e38, [1 / 3] * 3 + [0]),
    "global": (lambda x: F.global_avg_pool(x[None])[0], four(1e38), INF, [0.25] * 4),
    "adaptive": (lambda x: F.adaptive_avg_pool(x, (1,)), four(1e38), INF, [0.25] * 4),
    "half average": (lambda x: F.avg_pool(x, (4,)), HALF(), 65504, [0.25] * 4),
    "half global": (lambda x: F.global_avg_pool(x[None])[0], HALF(), 65504, [0.25] * 4),
    "half adaptive": (lambda x: F.adaptive_avg_pool(x, (1,)), HALF(), 65504, [0.25] * 4),
    "half sum": (lambda x: F.sum_pool(x, (4,)), HALF(), INF, [1] * 4),
    "half sum that fits": (
        lambda x: F.sum_pool(x * np.array([[1], [1], [-1], [-1]], x.dtype), (4,)),
        HALF(),
        0,
        [1, 1, -1, -1],
    ),
    "half blur": (lambda x: F.blur_pool(x, (4,), padding="VALID"), HALF(), 65504, None),
    "norm of order 2, squares overflow": (
        lambda x: F.lp_pool(x, 2, (4,)),
        four(1e38),
        INF,
        [0] * 4,
    ),
    "norm of order 2, squares vanish": (lambda x: F.lp_pool(x, 2, (4,)), four(1e-38), 0, [0] * 4),
    "norm of order 2": (lambda x: F.lp_pool(x, 2, (4,)), four(9e18), 1.8e19, [0.5] * 4),
    "norm of order inf": (lambda x: F.lp_pool(x, INF, (4,)), four(-1e38), 1e38, [-1, 0, 0, 0]),
    "half norm of order 2": (
        lambda x: F.lp_pool(x[:1], 2, (1,)),
        HALF(),
        65504,
        [1, 0, 0, 0],
    ),
    "log-sum-exp": (lambda x: F.logsumexp_pool(x, (4,)), four(1e38), 1e38, [0.25] * 4),
    "log-sum-exp of inf": (
        lambda x: F.logsumexp_pool(x, (4,)),
        np.float32([[INF], [1], [INF], [-INF]]),
        INF,
        [0.5, 0, 0.5, 0],
    ),
    "log-sum-exp of -inf": (lambda x: F.logsumexp_pool(x, (4,)), four(-INF), -INF, [0] * 4),
    "half log-sum-exp": (lambda x: F.logsumexp_pool(x, (4,)), HALF(), 65504, [0.25] * 4),
    "stochastic": (
        lambda x: F.stochastic_pool(x, (4,), deterministic=True),
        four(1e38),
        1e38,
        [0.25] * 4,
    ),
    "stochastic, drawn": (
        lambda x: F.stochastic_pool(x, (4,), samples=jnp.full((1, 1), 0.6, x.dtype)),
        four(1e38),
        1e38,
        [0, 0, 1, 0],
    ),
    "convolution": (
        lambda x: F.conv(x, jnp.asarray(ONES, x.dtype), padding="VALID"),
        four(1e38),
        INF,
        [1] * 4,
    ),
    "transposed": (
        lambda x: F.conv_transpose(x[:1], jnp.full((1, 1, 1), 10, x.dtype)),
        four(1e38),
        INF,
        [10, 0, 0, 0],
    ),
    "half convolution": (
        lambda x: F.conv(x, jnp.asarray(ONES, x.dtype), padding="VALID"),
        HALF(),
        INF,
        [1] * 4,
    ),
    "half convolution into float32": (
        lambda x: F.conv(
            x, jnp.asarray(ONES, x.dtype), padding="VALID", preferred_element_type=jnp.float32
        ),
        HALF(),
        4 * 65504,
        [1] * 4,
    ),
    "resized": (
        lambda x: F.resize_conv(x, jnp.ones((1, 1, 1), x.dtype), resized_shape=5, method="linear")[
            :1
        ],
        HALF(),
        65504,
        [1, 0, 0, 0],
    ),
}  # fmt: skip


@functools.cache
def stated():
    """All of them as one program: outputs and gradients."""

    def run(pixels):
        found = {}
        for name, (function, *_) in STATED.items():
            outputs, pullback = jax.vjp(function, pixels[name])
            found[name] = outputs, pullback(jnp.ones_like(outputs))[0]
        return found

    with jax.enable_x64(False):
        return jax.jit(run)({name: row[1] for name, row in STATED.items()})


@pytest.mark.parametrize("name", STATED)
def test_results_near_the_largest_number_are_as_stated(name):
    _, pixels, output, gradient = STATED[name]
    found, found_gradient = stated()[name]
    assert found_gradient.dtype == pixels.dtype
    np.testing.assert_allclose(np.ravel(np.float64(found)), [output], rtol=1e-3)
    if gradient is not None:
        np.testing.assert_allclose(np.ravel(np.float64(found_gradient)), gradient, rtol=1e-3)


def test_a_resize_reads_no_pixel_with_weight_zero(rng):
    """5 centres on 3 pixels: the middle one lies on a pixel, beside one that is no number."""
    pixels = np.array([[1.0], [np.inf], [np.nan]])
    kernel = np.ones((1, 1, 1))
    resized = F.resize_conv(pixels, kernel, resized_shape=5, method="linear")
    np.testing.assert_array_equal(np.ravel(resized), [1, INF, INF, np.nan, np.nan])


def test_subnormal_numbers_count_as_zero_or_as_they_are_and_moves_keep_them():
    """XLA's CPU code computes with zeros in their place; what only moves pixels keeps every bit."""
    tiny = np.float32([3e-41, 1e-40, 2e-42, 7e-45]).reshape(4, 1)

    @jax.jit
    def run(x):
        computed = F.max_pool(x, (2,), 2), F.avg_pool(x, (2,), 2), F.conv(x, jnp.ones((1, 1, 1)))
        moved = F.unfold(x, (2,), strides=2), F.space_to_depth(x, (2,)), F.dilate(x, (2,))[::2]
        return computed, moved

    with jax.enable_x64(False):
        computed, moved = run(tiny)
    exact = [1e-40, 2e-42], tiny.reshape(2, 2).mean(1), tiny.ravel()
    for found, right in zip(computed, exact, strict=True):
        for value, wanted in zip(np.asarray(found).ravel(), np.float32(right), strict=True):
            assert abs(value) <= np.finfo(np.float32).tiny and value in (0, wanted)
    for found in moved:
        np.testing.assert_array_equal(
            np.asarray(found).view(np.int32).ravel(), tiny.view(np.int32).ravel()
        )
