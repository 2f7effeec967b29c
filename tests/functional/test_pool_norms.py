"""lp and log-sum-exp pools: against the reference and PyTorch, corners, bad input."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference
from jaxcnn.testing import check_gradients, check_transforms

# name: spatial sizes, window_shape, options
CASES = {
    "1d": ((9,), (3,), dict()),
    "1d long": ((40,), (17,), dict(padding=3, strides=2)),
    "2d tiles": ((7, 6), (2, 3), dict(strides=(2, 3))),
    "2d same": ((6, 7), (3, 2), dict(padding="SAME", strides=(2, 1))),
    "2d ceil, dilated": (
        (8, 7),
        (2, 3),
        dict(strides=3, padding=((0, 1), (2, 0)), window_dilation=2, ceil_mode=True),
    ),
    "2d far padding": ((3, 4), (2, 2), dict(padding=4, strides=(1, 3))),
    "2d reflect": ((5, 6), (3, 2), dict(padding=((2, 1), (0, 3)), padding_mode="reflect")),
    "2d large": ((40, 30), (3, 2), dict(strides=(1, 2), padding="SAME")),
}
ORDERS = (1, 2, 2.5, 3, 0.5, math.inf)
POOLS = {
    "logsumexp_pool": (functional.logsumexp_pool, reference.logsumexp_pool, ()),
    **{f"lp_pool {p}": (functional.lp_pool, reference.lp_pool, (p,)) for p in ORDERS},
}


@functools.partial(jax.jit, static_argnames=("names", "window_shape", "static"))
def compiled(inputs, cotangent, names, window_shape, static):
    def run(name):
        pool, _, args = POOLS[name]
        outputs, pullback = jax.vjp(lambda x: pool(x, *args, window_shape, **dict(static)), inputs)
        return outputs, pullback(cotangent.astype(outputs.dtype))[0]

    return {name: run(name) for name in names}


def by_hand(name, inputs, cotangent, window_shape, options):
    _, hand, args = POOLS[name]
    vjp = getattr(reference, f"{hand.__name__}_vjp")
    outputs = hand(inputs, *args, window_shape, **options)
    return outputs, vjp(cotangent, inputs, *args, window_shape, **options)[0]


@pytest.mark.parametrize("case", CASES)
def test_agree_with_the_reference_in_value_and_gradient(case):
    sizes, window_shape, options = CASES[case]
    rng = np.random.default_rng(len(case))
    inputs = rng.standard_normal((2, *sizes, 3))
    inputs[0] *= inputs[0] > 0  # zeros here and there
    shape = reference.sum_pool(inputs, window_shape, **options).shape
    cotangent = rng.standard_normal(shape)
    names = tuple(POOLS) if "2d" not in case or "ceil" in case else ("logsumexp_pool", "lp_pool 2")
    results = compiled(inputs, cotangent, names, window_shape, tuple(options.items()))
    for name in names:
        outputs, gradient = by_hand(name, inputs, cotangent, window_shape, options)
        np.testing.assert_allclose(results[name][0], outputs, rtol=1e-12, err_msg=name)
        np.testing.assert_allclose(results[name][1], gradient, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", ["logsumexp_pool", "lp_pool 2", "lp_pool 2.5"])
def test_first_and_second_derivatives_under_every_transformation(rng, name):
    pool, hand, args = POOLS[name]
    sizes, window_shape, options = CASES["2d ceil, dilated"]
    inputs = rng.standard_normal((*sizes, 2))

    def run(x):
        return pool(x, *args, window_shape, **options)

    def vjp(cotangent, x):
        return by_hand(name, x, cotangent, window_shape, options)[1]

    # Powers of small elements bend sharply: their differences lose a digit or two.
    check_gradients(
        run, (inputs,), vjp=vjp, order=2, full_limit=8, directions=1, difference_rtol=1e-5
    )
    check_transforms(run, (inputs,))


@pytest.mark.parametrize("p", ORDERS)
def test_the_gradient_of_a_norm_at_zero_is_zero(p):
    inputs = np.array([0.0, 0.0, 0.0, 3.0, 0.0, -4.0])[:, None]

    def total(x):
        outputs = functional.lp_pool(x, p, (2,), 2)
        return outputs.sum(), outputs

    gradient, outputs = jax.jit(jax.grad(total, has_aux=True))(inputs)
    np.testing.assert_allclose(np.ravel(outputs), [0, 3, 4])
    np.testing.assert_allclose(np.ravel(gradient), [0, 0, 0, 1, 0, -1])
    if p == 2:  # around (3, 0) the norm is 3 + y*y/6: its second derivative is 1/3 although y is 0
        hessian = np.asarray(jax.jit(jax.hessian(lambda x: total(x)[0]))(inputs))[:, 0, :, 0]
        np.testing.assert_allclose(np.diag(hessian), [0, 0, 1 / 3, 0, 1 / 4, 0], atol=1e-15)


def test_infinite_order_is_the_largest_magnitude():
    x = np.array([[1.0], [-5.0], [2.0], [5.0]])
    outputs = functional.lp_pool(x, math.inf, (2,))
    np.testing.assert_array_equal(np.ravel(outputs), [5, 5, 5])
    outputs = functional.lp_pool(x, jnp.inf, (2,), 2, padding=4)
    np.testing.assert_array_equal(np.ravel(outputs), [0, 0, 5, 5, 0, 0])


@pytest.mark.parametrize("p", [1, 2, 3])
def test_lp_pool_is_torchs_of_the_magnitudes(rng, p):
    torch = pytest.importorskip("torch")
    inputs = rng.standard_normal((2, 7, 8, 3))
    magnitudes = torch.tensor(np.moveaxis(np.abs(inputs), -1, 1))
    theirs = torch.nn.functional.lp_pool2d(magnitudes, p, (3, 2), (2, 3))
    ours = functional.lp_pool(inputs, p, (3, 2), (2, 3))
    np.testing.assert_allclose(np.moveaxis(ours, -1, 1), theirs, rtol=1e-12)


def test_log_sum_exp_is_stable():
    x = np.array([1000.0, 1000.0, -1000.0, -1000.0, 3.0, -np.inf])[:, None]

    @jax.jit
    def run(x):
        outputs, pullback = jax.vjp(lambda x: functional.logsumexp_pool(x, (2,), 2), x)
        return outputs.ravel(), pullback(jnp.ones_like(outputs))[0].ravel()

    outputs, gradient = run(x)
    np.testing.assert_allclose(outputs, np.array([1000, -1000, 3]) + np.log([2, 2, 1]))
    np.testing.assert_allclose(gradient, [0.5, 0.5, 0.5, 0.5, 1, 0])
    for value in (np.nan, np.inf):
        x[1] = value
        np.testing.assert_array_equal(run(x)[0][0], value)


@pytest.mark.parametrize("taps", [1, 2, 17])
def test_log_sum_exp_of_nothing_is_minus_infinity_without_a_gradient(taps):
    @jax.jit
    def run(x, tangent):
        def gradient(x):
            pool = functools.partial(functional.logsumexp_pool, padding=(taps + 1,))
            outputs, pullback = jax.vjp(lambda x: pool(x, (taps,), taps), x)
            return pullback(jnp.ones_like(outputs))[0], outputs

        first, second, outputs = jax.jvp(gradient, (x,), (tangent,), has_aux=True)
        return outputs, first, second

    outputs, first, second = run(np.full((taps, 1), -np.inf), np.linspace(1, 2, taps)[:, None])
    assert (np.asarray(outputs) == -np.inf).all()
    assert not np.asarray(first).any() and not np.asarray(second).any()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_floats_are_computed_in_float32(rng, dtype):
    # 200 squared overflows float16, and 512 of it would stop growing in bfloat16.
    inputs = np.full((512, 1), 200, dtype)
    outputs = functional.lp_pool(inputs, 2, (512,))
    assert outputs.dtype == dtype
    np.testing.assert_allclose(np.float32(outputs), 200 * np.sqrt(512), rtol=4e-3)
    values = rng.standard_normal((6, 2)).astype(dtype)
    ours = functional.logsumexp_pool(values, (3,))
    assert ours.dtype == dtype
    exact = reference.logsumexp_pool(np.float64(values), (3,))
    eps = float(jnp.finfo(dtype).eps)  # one rounding, of the result
    np.testing.assert_allclose(np.float64(ours), exact, rtol=eps, atol=eps)


def test_integers_become_floats():
    x = np.array([[3], [-4]], np.int8)
    for outputs, expected in (
        (functional.lp_pool(x, 2, (2,)), 5.0),
        (functional.logsumexp_pool(x, (2,)), np.logaddexp(3, -4)),
    ):
        assert outputs.dtype == jnp.mean(x).dtype
        np.testing.assert_allclose(outputs, [[expected]], rtol=1e-6)


def test_refuse_bad_input():
    x = jnp.ones((5, 6, 3))
    for value in ("2", None, True, jnp.ones(()), [2]):
        with pytest.raises(TypeError, match="lp_pool: `norm_order` .* must be a number known"):
            functional.lp_pool(x, value, (2, 2))
    for value in (0, -1, -math.inf, math.nan, 10**400):
        with pytest.raises(ValueError, match="lp_pool: `norm_order` .* must be above 0"):
            functional.lp_pool(x, value, (2, 2))
    with pytest.raises(TypeError, match="lp_pool: `norm_order` .* must be a number known"):
        jax.jit(lambda p: functional.lp_pool(x, p, (2, 2)))(2.0)
    for name, args in (("lp_pool", (2,)), ("logsumexp_pool", ())):
        pool = functools.partial(getattr(functional, name))
        with pytest.raises(TypeError, match=f"{name}: `inputs` must hold real numbers"):
            pool(x.astype(complex), *args, (2, 2))
        with pytest.raises(TypeError, match=f"{name}: `window_shape` .=2. must be a tuple"):
            pool(x, *args, 2)
        with pytest.raises(ValueError, match=f"{name}: `window_shape` .* spans 9 pixels"):
            pool(x, *args, (2, 9))
        with pytest.raises(ValueError, match=f"{name}: `algorithm` .='fft'. must be one of auto"):
            pool(x, *args, (2, 2), algorithm="fft")
