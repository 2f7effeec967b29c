"""Fractional max pools given samples, against the reference and PyTorch; keys; bad input."""

import functools
import re

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference
from jaxcnn.testing import check_gradients, check_transforms
from tests.helpers import program, values_and_gradients

POOLS = ("fractional_max_pool", "fractional_max_pool_with_indices")
# name: inputs, window shape, output shape
CASES = {
    "1d, two batch axes": ((2, 3, 9, 2), (2,), (6,)),
    "2d": ((2, 9, 11, 3), (2, 3), (6, 7)),
    "2d, whole steps": ((2, 9, 8, 2), (3, 2), (4, 7)),
    "2d, one window": ((2, 5, 6, 2), (2, 6), (1, 1)),
    "2d, steps beyond the window": ((2, 14, 9, 2), (1, 2), (4, 3)),
    "2d, single pixels": ((2, 5, 6, 2), (1, 1), (5, 4)),
    "3d": ((2, 6, 5, 7, 2), (2, 1, 3), (4, 3, 4)),
    "4d": ((1, 4, 3, 4, 3, 2), (2, 1, 1, 2), (2, 2, 3, 2)),
    "no batch": ((7, 6, 2), (2, 2), (5, 4)),
    "empty batch": ((0, 7, 6, 2), (2, 2), (5, 4)),
    "large": ((2, 27, 20, 9), (2, 2), (19, 14)),
}


def arguments(case, dtype=np.float64):
    shape, window, counts = CASES[case]
    rng = np.random.default_rng(len(case))
    samples = rng.random((*shape[: -len(window) - 1], shape[-1], len(window)))
    inputs = rng.standard_normal(shape).astype(dtype)
    cotangent = rng.standard_normal((*shape[: -len(window) - 1], *counts, shape[-1]))
    return cotangent.astype(dtype), inputs, samples, window, counts


FUNCTIONS = (functional.fractional_max_pool, functional.fractional_max_pool_with_indices)


def both(cotangent, inputs, samples, window, counts):
    """The maxima alone; then maxima, their positions and the gradient."""
    options = dict(window_shape=window, output_shape=counts)
    (alone, _), ((outputs, indices), gradient) = values_and_gradients(
        FUNCTIONS, cotangent, inputs, options, beside={"samples": samples}
    )
    return alone, outputs, indices, gradient


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference_in_value_and_gradient(case):
    cotangent, inputs, samples, window, counts = arguments(case)
    alone, *got, gradient = both(cotangent, inputs, samples, window, counts)
    expected = reference.fractional_max_pool_with_indices(inputs, window, counts, samples=samples)
    for ours, right in zip((alone, *got), (expected[0], *expected), strict=True):
        np.testing.assert_array_equal(ours, right)
    assert got[1].dtype == jnp.int32
    (hand,) = reference.fractional_max_pool_vjp(cotangent, inputs, window, counts, samples=samples)
    np.testing.assert_allclose(gradient, hand, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", ["2d", "2d, whole steps", "2d, one window", "3d", "large"])
def test_is_what_torch_computes(case):
    torch = pytest.importorskip("torch")
    cotangent, inputs, samples, window, counts = arguments(case)
    rank = len(window)
    # PyTorch reads the samples of its 2-D pool as (width, height), those of its 3-D pool in order.
    theirs = np.ascontiguousarray(samples[..., ::-1] if rank == 2 else samples)
    tensor = torch.from_numpy(np.moveaxis(inputs, -1, 1).copy()).requires_grad_()
    pool = getattr(torch.nn.functional, f"fractional_max_pool{rank}d")
    outputs, indices = pool(
        tensor, window, counts, return_indices=True, _random_samples=torch.from_numpy(theirs)
    )
    outputs.backward(torch.from_numpy(np.moveaxis(cotangent, -1, 1).copy()))
    _, *got, gradient = both(cotangent, inputs, samples, window, counts)
    for ours, right in zip((*got, gradient), (outputs.detach(), indices, tensor.grad), strict=True):
        np.testing.assert_allclose(ours, np.moveaxis(right.numpy(), 1, -1), atol=1e-12)


def test_starts_worked_by_hand():
    line = np.arange(9.0)[:, None]
    # alpha = 7 / 4; with u = 0.9: floor of 1.575, 3.325, 5.075, 6.825, less 1; the last at 7
    outputs = functional.fractional_max_pool(line, (2,), (5,), samples=np.array([[0.9]]))
    assert outputs.ravel().tolist() == [1, 3, 5, 6, 8]


def test_every_channel_and_image_has_its_own_windows():
    inputs = np.broadcast_to(np.arange(20.0)[:, None], (6, 20, 5))
    outputs = functional.fractional_max_pool(inputs, (2,), (12,), key=jax.random.key(3))
    lines = np.moveaxis(np.asarray(outputs), 1, -1)
    assert len(np.unique(lines[0], axis=0)) > 1 and len(np.unique(lines[:, 0], axis=0)) > 1
    assert len(np.unique(lines.reshape(30, 12), axis=0)) > 6


def test_ties_nan_and_infinity():
    plane = np.array([[2.0, 2, -np.inf, -np.inf], [1, 2, -np.inf, -np.inf]])
    plane = np.concatenate([plane, [[np.nan, 0, 0, 0], [0, np.nan, 0, 0]]])[..., None]
    outputs, indices = functional.fractional_max_pool_with_indices(
        plane, (2, 2), (2, 2), samples=np.zeros((1, 2))
    )
    np.testing.assert_array_equal(outputs[..., 0], [[2, -np.inf], [np.nan, 0]])
    assert indices[..., 0].tolist() == [[0, 2], [8, 10]]


def test_a_window_of_minus_infinity_keeps_its_gradient_wherever_it_starts():
    inputs = np.full((50, 9, 1), -np.inf)
    samples = np.linspace(0, 0.99, 50).reshape(50, 1, 1)
    *_, gradient = both(np.ones((50, 6, 1)), inputs, samples, (2,), (6,))
    assert (gradient.sum((1, 2)) == 6).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float16, jnp.bfloat16])
def test_other_floats(dtype):
    cotangent, inputs, samples, window, counts = arguments("2d", dtype)
    _, outputs, indices, gradient = both(cotangent, inputs, samples, window, counts)
    assert outputs.dtype == gradient.dtype == dtype
    wide = inputs.astype(np.float64)
    expected = reference.fractional_max_pool_with_indices(wide, window, counts, samples=samples)
    np.testing.assert_array_equal(np.float64(outputs), expected[0])
    np.testing.assert_array_equal(indices, expected[1])
    (hand,) = reference.fractional_max_pool_vjp(
        cotangent.astype(np.float64), wide, window, counts, samples=samples
    )
    # sums of a few cotangents in float32, rounded once
    rtol = 2 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(np.float64(gradient), hand, rtol=rtol, atol=rtol)


def test_integers_and_16_bit_samples():
    _, inputs, samples, window, counts = arguments("2d")
    inputs = (inputs * 100).astype(np.int8)
    samples = samples.astype(jnp.bfloat16)
    samples[samples == 1] = 0
    outputs = functional.fractional_max_pool(inputs, window, counts, samples=samples)
    expected = reference.fractional_max_pool(inputs, window, counts, samples=samples.astype(float))
    assert outputs.dtype == jnp.int8
    np.testing.assert_array_equal(outputs, expected)


@pytest.mark.parametrize("key", [jax.random.key(7), jax.random.PRNGKey(7)])
def test_a_key_draws_the_samples(key):
    _, inputs, _, window, counts = arguments("2d", np.float32)
    outputs = functional.fractional_max_pool(inputs, window, counts, key=key)
    samples = jax.random.uniform(jax.random.key(7), (2, 3, 2), jnp.float32)
    expected = functional.fractional_max_pool(inputs, window, counts, samples=samples)
    np.testing.assert_array_equal(outputs, expected)


def test_derivatives_and_transformations():
    cotangent, inputs, samples, window, counts = arguments("no batch")
    pool = functools.partial(
        functional.fractional_max_pool, window_shape=window, output_shape=counts
    )
    hand = functools.partial(
        reference.fractional_max_pool_vjp, window_shape=window, output_shape=counts
    )
    check_gradients(
        lambda x, u: pool(x, samples=u),
        (inputs, samples),
        vjp=lambda c, x, u: (*hand(c, x, samples=u), np.zeros_like(u)),
        order=2,
    )
    check_transforms(
        lambda x, u: pool(x, samples=u), (inputs, samples), argnums=0, transforms=("vmap",)
    )


def test_samples_out_of_range_under_jit_stay_within_the_image():
    _, inputs, samples, window, counts = arguments("2d")
    for wrong in (samples - 5, samples + 7, samples * np.nan):
        outputs, _, indices, _ = both(np.zeros((2, 6, 7, 3)), inputs, wrong, window, counts)
        assert np.isfinite(outputs).all() and indices.min() >= 0 and indices.max() < 99


def test_no_gradient_adds_at_indices_that_may_collide():
    cotangent, inputs, samples, window, counts = arguments("2d")
    options = dict(window_shape=window, output_shape=counts)
    text = program(FUNCTIONS[1], cotangent, inputs, options, beside={"samples": samples})
    scatters = re.findall(r'"stablehlo.scatter".*', text)
    assert scatters and all("unique_indices = true" in scatter for scatter in scatters)
    assert "select_and_scatter" not in text


@hypothesis.settings(max_examples=10, deadline=None)
@hypothesis.given(
    st.integers(1, 12), st.integers(1, 3), st.integers(1, 12), st.floats(0, 1, exclude_max=True)
)
def test_any_sizes(size, window, count, u):
    inputs = np.random.default_rng(0).standard_normal((size, 1))
    samples = np.array([[u]])
    if window + count - 1 > size:
        with pytest.raises(ValueError, match="`output_shape`.*take smaller windows or fewer"):
            functional.fractional_max_pool(inputs, (window,), (count,), samples=samples)
        return
    outputs = functional.fractional_max_pool(inputs, (window,), (count,), samples=samples)
    expected = reference.fractional_max_pool(inputs, (window,), (count,), samples=samples)
    # (i + u) alpha may round up to a whole number that it does not reach
    starts = (np.arange(count) + u) * (size - window) / max(count - 1, 1)
    if (np.abs(starts - np.round(starts)) > 1e-9).all():
        np.testing.assert_array_equal(outputs, expected)


FINE = np.zeros((2, 5, 4, 3))
U = np.zeros((2, 3, 2))


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize(
    "inputs, window, counts, options, error, message",
    [
        (FINE, 2, (3, 3), dict(samples=U), TypeError, "`window_shape` .=2. must be a tuple"),
        (FINE, (2, 2), 3, dict(samples=U), TypeError, "`output_shape` .=3. must be a tuple"),
        (FINE, (2, 2), (3,), dict(samples=U), ValueError, "one entry per spatial axis each"),
        (FINE, (2, 2), (3, 0), dict(samples=U), ValueError, "must be at least 1"),
        (FINE, (2, 2), (3, 4), dict(samples=U), ValueError, "room for 3 along spatial axis 1"),
        (FINE, (7, 2), (1, 1), dict(samples=U), ValueError, "room for 0 along spatial axis 0"),
        (FINE, (2, 2), (3, 3), dict(), ValueError, "exactly one of .*, got neither"),
        (
            FINE,
            (2, 2),
            (3, 3),
            dict(samples=U, key=jax.random.key(0)),
            ValueError,
            "exactly one of .*, got both",
        ),
        (FINE, (2, 2), (3, 3), dict(samples=U[0]), ValueError, r"must be \(2, 3, 2\); received"),
        (FINE, (2, 2), (3, 3), dict(samples=U + 1), ValueError, r"must lie in \[0, 1\), got 1.0"),
        (FINE, (2, 2), (3, 3), dict(samples=U - 0.1), ValueError, "must lie in"),
        (FINE, (2, 2), (3, 3), dict(samples=U * np.nan), ValueError, "must lie in"),
        (FINE, (2, 2), (3, 3), dict(samples=U.astype(int)), TypeError, "must hold floats"),
        (FINE, (2, 2), (3, 3), dict(samples=0.5), TypeError, "`samples` must be an array"),
        (FINE, (2, 2), (3, 3), dict(key=0), TypeError, "`key` must be one PRNG key.*got int"),
        (FINE, (2, 2), (3, 3), dict(key=U), TypeError, "got float64 of shape"),
        (FINE, (2, 2), (3, 3), dict(key=np.zeros(3, np.uint32)), TypeError, "one PRNG key"),
        (FINE, (2, 2), (3, 3), dict(key=jax.random.split(jax.random.key(0))), TypeError, "one"),
        (FINE.astype(complex), (2, 2), (3, 3), dict(samples=U), TypeError, "must hold real"),
        (np.zeros((4, 3)), (2, 2), (3, 3), dict(samples=U), ValueError, "with 2 spatial axes"),
    ],
)
def test_bad_input(name, inputs, window, counts, options, error, message):
    with pytest.raises(error, match=f"^{name}: .*{message}"):
        getattr(functional, name)(inputs, window, counts, **options)
