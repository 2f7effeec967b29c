"""pool: any reducer, against the reference, Flax and pools of their own; init; bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from jaxcnn import functional, reference
from jaxcnn.testing import check_gradients, check_transforms

CASES = {
    "1d": ((8,), (3,), dict(strides=2, padding=1)),
    "1d long": ((30,), (18,), dict(padding=(3,), strides=3)),
    "2d": ((6, 7), (3, 2), dict(strides=(1, 2), padding="SAME", window_dilation=(2, 1))),
    "3d": ((3, 4, 2), (2, 2, 2), dict(padding=((0, 1), (1, 0), (0, 0)))),
    "2d large": ((50, 40), (2, 3), dict(strides=2)),
}


def mean_of_slopes(a, b):
    """tanh addition: associative, with 0 as neutral element."""
    return (a + b) / (1 + a * b)


def mean_of_slopes_vjp(h, a, b):
    squared = (1 + a * b) ** 2
    return h * (1 - b * b) / squared, h * (1 - a * a) / squared


def logaddexp_vjp(h, a, b):
    out = np.logaddexp(a, b)
    return h * np.exp(a - out), h * np.exp(b - out)


# name: init, reducer in JAX, in NumPy, its gradient by hand
REDUCERS = {
    "product": (1.0, jnp.multiply, np.multiply, lambda h, a, b: (h * b, h * a)),
    "logaddexp": (-30.0, jnp.logaddexp, np.logaddexp, logaddexp_vjp),
    "user's own": (0.0, mean_of_slopes, mean_of_slopes, mean_of_slopes_vjp),
}


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference_in_value_and_gradient(case):
    sizes, window_shape, options = CASES[case]
    rng = np.random.default_rng(len(case))
    inputs = rng.uniform(-0.9, 0.9, (2, *sizes, 3))
    shape = reference.sum_pool(inputs, window_shape, **options).shape
    cotangent = rng.standard_normal(shape)

    @jax.jit
    def run(x, inits, cotangent):
        results = {}
        for name, (_, jax_fn, *_) in REDUCERS.items():

            def pool(x, init, jax_fn=jax_fn):
                return functional.pool(x, init, jax_fn, window_shape, **options)

            outputs, pullback = jax.vjp(pool, x, inits[name])
            results[name] = outputs, *pullback(cotangent)
        return results

    inits = {name: np.float64(init) for name, (init, *_) in REDUCERS.items()}
    for name, (outputs, *gradients) in run(inputs, inits, cotangent).items():
        init, _, numpy_fn, fn_vjp = REDUCERS[name]
        expected = reference.pool(inputs, init, numpy_fn, window_shape, **options)
        np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-13, err_msg=name)
        by_hand = reference.pool_vjp(
            cotangent, inputs, init, numpy_fn, fn_vjp, window_shape, **options
        )
        for gradient, hand in zip(gradients, by_hand, strict=True):
            np.testing.assert_allclose(gradient, hand, rtol=1e-9, atol=1e-11, err_msg=name)


def test_derivatives_under_every_transformation_also_of_init(rng):
    inputs = rng.uniform(-1, 1, (1, 5, 4, 2))
    inputs[0, 2, 1] = 0  # where a product divided by its factor would fail

    def product(x, init):
        return functional.pool(x, init, jnp.multiply, (2, 3), (1, 2), "SAME")

    check_gradients(product, (inputs, jnp.float64(1.5)), order=2, full_limit=8, directions=1)
    check_transforms(product, (inputs, jnp.float64(1.5)))


@pytest.mark.parametrize("shape", [(2, 7, 6, 3), (7, 6, 3)])
@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_equals_flax(rng, shape, dtype):
    @jax.jit
    def run(inputs):
        rules = ((0.0, lax.add), (-np.inf, lax.max), (np.inf, lax.min))
        cases = [(*rule, (3, 2), (2, 1), "SAME") for rule in rules]
        return [(functional.pool(inputs, *args), nnx.pool(inputs, *args)) for args in cases]

    for ours, flax in run(rng.integers(-9, 9, shape).astype(dtype)):
        np.testing.assert_array_equal(ours, flax)
        assert ours.dtype == flax.dtype


def test_keeps_the_order_of_a_reducer_that_does_not_commute():
    @jax.jit
    def run(x):
        last = functional.pool(x[:5], 0.0, lambda a, b: b, (3,))
        return last, functional.pool(x, 0.0, lambda a, b: jnp.where(a == 0, b, a), (19,))

    last, first = run(np.arange(1.0, 25.0)[:, None])
    np.testing.assert_array_equal(np.ravel(last), [3, 4, 5])
    np.testing.assert_array_equal(np.ravel(first), [1, 2, 3, 4, 5, 6])


def test_init_may_be_batched(rng):
    inputs, inits = rng.standard_normal((4, 1)), np.array([1.0, -2.0])
    outputs = jax.jit(jax.vmap(lambda i: functional.pool(inputs, i, jnp.multiply, (2,))))(inits)
    expected = [reference.pool(inputs, float(i), np.multiply, (2,)) for i in inits]
    np.testing.assert_allclose(outputs, expected)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float64])
def test_a_traced_python_number_takes_the_dtype_of_the_inputs(dtype):
    inputs = np.array([[2], [3], [5]], dtype)

    def product(x, init):
        return functional.pool(x, init, jnp.multiply, (2,)).sum()

    assert jax.jit(product)(inputs, 2) == 42
    assert jax.jit(jax.value_and_grad(product, argnums=1))(inputs, 2.0) == (42, 21)


def test_booleans_and_empty_batches():
    mask = np.array([True, False, False, False])[:, None]
    ours = functional.pool(mask, False, jnp.logical_or, (2,))
    np.testing.assert_array_equal(np.ravel(ours), [True, False, False])
    assert functional.pool(np.ones((0, 4, 2)), 1.0, jnp.multiply, (2,)).shape == (0, 3, 2)


def test_refuses_bad_input():
    x, n = np.ones((4, 3)), np.ones((4, 3), np.int32)
    for error, message, args in (
        (TypeError, "`reduce_fn` .=None. must be a function", (x, 0.0, None, (2,))),
        (TypeError, "`reduce_fn` must return one JAX array", (x, 0.0, lambda a, b: a > b, (2,))),
        (TypeError, "`reduce_fn` must return .* got None", (x, 0.0, lambda a, b: None, (2,))),
        (TypeError, "`reduce_fn` must return", (x, 0.0, lambda a, b: jnp.sum(a), (2,))),
        (
            ValueError,
            "`init` must be a scalar; received init .1,.",
            (x, np.ones(1), jnp.add, (2,)),
        ),
        (TypeError, "`init` must have the inputs' dtype", (x, jnp.int32(0), jnp.add, (2,))),
        (TypeError, "`init` must be an array, got str", (x, "0", jnp.add, (2,))),
        (ValueError, "`init` .=0.5. must fit", (n, 0.5, jnp.add, (2,))),
        (ValueError, "`init` .=nan. must fit", (n, float("nan"), jnp.add, (2,))),
        (ValueError, "`init` .=4294967296. must fit", (n, 2**32, jnp.add, (2,))),
        (ValueError, "`init` .=1j. must fit", (x, 1j, jnp.add, (2,))),
        (ValueError, "`init` .=10000.*. must fit", (x, 10**400, jnp.add, (2,))),
        (TypeError, "`reduce_fn` must return .* got ndarray", (x, 0.0, np.add, (2,))),
        (TypeError, "`window_shape` .=2. must be a tuple", (x, 0.0, jnp.add, 2)),
        (ValueError, "`window_shape` .=.5,.. spans 5 pixels", (x, 0.0, jnp.add, (5,))),
    ):
        with pytest.raises(error, match=f"pool: {message}"):
            functional.pool(*args)
    with pytest.raises(TypeError, match="pool: `reduce_fn` must be written with jax.numpy"):
        jax.jit(lambda x: functional.pool(x, 0.0, np.add, (2,)))(x)


def test_the_gradient_of_init_of_16_bits_is_summed_in_float32():
    x = np.ones((4096, 1), jnp.bfloat16)

    @jax.jit
    def gradient(init):
        return jax.vjp(lambda i: functional.pool(x, i, jnp.add, (1,)), init)[1](jnp.asarray(x))[0]

    assert gradient(np.zeros((), x.dtype)) == 4096
