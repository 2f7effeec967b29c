"""The checker is checked: right gradients pass, each kind of wrong one is caught and named."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.custom_batching import custom_vmap
from jax.custom_derivatives import linear_call

from jaxcnn.testing import GradientError, Report, check_gradients, check_transforms

DTYPES = ("float64", "float32", "bfloat16", "float16")


@jax.jit
def convolve(inputs, kernel, bias):
    """A convolution of stride 2 as one product: linear in each argument, with three of them."""
    taps = len(kernel)
    stop = inputs.shape[1] - taps + 1
    windows = jnp.stack([inputs[:, tap : tap + stop : 2] for tap in range(taps)], 2)
    return jnp.einsum("bntc,tco->bno", windows, kernel) + bias[None, None]


def convolve_vjp(cotangent, inputs, kernel, bias):
    d_inputs, d_kernel = np.zeros_like(inputs), np.zeros_like(kernel)
    for i in range(cotangent.shape[1]):
        for a in range(kernel.shape[0]):
            d_inputs[:, 2 * i + a] += cotangent[:, i] @ kernel[a].T
            d_kernel[a] += inputs[:, 2 * i + a].T @ cotangent[:, i]
    return d_inputs, d_kernel, cotangent.sum((0, 1))


def convolve_args(rng, dtype="float64", length=9):
    shapes = (2, length, 3), (4, 3, 5), (5,)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    if dtype.startswith("complex"):
        arrays = [array + 1j * rng.standard_normal(array.shape) for array in arrays]
    return tuple(jax.device_put(array.astype(jnp.dtype(dtype))) for array in arrays)


def maximum_of_pairs(x):
    """A max pool of two; the first of a tie takes the gradient."""
    left, right = x[0::2], x[1::2]
    return jnp.where(right > left, right, left)


def pairs_vjp(cotangent, x, first_wins=True):
    gradient = np.zeros_like(x)
    for i, pair in enumerate(x.reshape(-1, 2)):
        takes_second = pair[1] > pair[0] if first_wins else pair[1] >= pair[0]
        gradient[2 * i + int(takes_second)] = cotangent[i]
    return gradient


@pytest.mark.parametrize("dtype", [*DTYPES, "complex128", "complex64"])
def test_right_gradients_pass_in_every_dtype(rng, dtype):
    report = check_gradients(
        convolve, convolve_args(rng, dtype), vjp=convolve_vjp, linear=True, order=2
    )
    assert report.checks == ("rev", "fwd", "second", "differences", "differences 2")
    assert report.passed and report.largest("differences") < 1e-11


def test_large_arrays_are_checked_along_random_tangents(rng):
    args = convolve_args(rng, length=101)
    report = check_gradients(convolve, args, vjp=convolve_vjp, linear=True)
    assert any("t random" in entry.of and "inputs" in entry.of for entry in report.comparisons)
    assert any("the gradient for `bias`" == entry.of.split(" (")[0] for entry in report.comparisons)


def test_works_with_x64_off(rng):
    with jax.enable_x64(False):
        args = tuple(jax.device_put(rng.standard_normal(n).astype(np.float32)) for n in (4, 4))
        report = check_gradients(
            lambda x, y: jnp.sin(x) * y,
            args,
            vjp=lambda c, x, y: (c * np.cos(x) * y, c * np.sin(x)),
        )
        assert not jax.config.jax_enable_x64
    assert report.largest("differences") < 1e-8


def wrong_sign(c, *args):
    return tuple(-gradient for gradient in convolve_vjp(c, *args))


def one_element(c, *args):
    d_inputs, d_kernel, d_bias = convolve_vjp(c, *args)
    d_kernel[2, 1, 4] += 1e-3
    return d_inputs, d_kernel, d_bias


def missing_term(c, inputs, kernel, bias):
    d_inputs, d_kernel, d_bias = convolve_vjp(c, inputs, kernel, bias)
    return d_inputs, d_kernel - np.einsum("nc,no->co", inputs[:, 0], c[:, 0]), d_bias


def swapped(c, inputs, kernel, bias):
    d_inputs, d_kernel, d_bias = convolve_vjp(c, inputs, kernel, bias)
    return d_inputs, np.flip(d_kernel, 0), d_bias


def forgotten_batch(c, *args):
    d_inputs, d_kernel, d_bias = convolve_vjp(c, *args)
    return d_inputs, d_kernel, d_bias / 2


@pytest.mark.parametrize(
    ("mutant", "match"),
    [
        (
            wrong_sign,
            r"reverse mode and the hand-derived VJP differ in the gradient for `inputs` "
            r"\(argument 0\) at element \(\d, \d, \d\): reverse mode (-?[\d.]+), the hand-derived "
            r"VJP -?[\d.]+, difference [\d.]+, tolerance [\d.e-]+; \d+ of 54 elements differ, all "
            r"by the factor -1",
        ),
        (one_element, r"`kernel` \(argument 1\) at element \(2, 1, 4\).*; 1 of 60 elements differ"),
        (missing_term, r"`kernel` \(argument 1\).*; 60 of 60 elements differ$"),
        (swapped, r"`kernel` \(argument 1\).*elements differ$"),
        (forgotten_batch, r"`bias` \(argument 2\).*; 5 of 5 elements differ, all by the factor 2"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_wrong_hand_derived_gradient_is_named(rng, mutant, match):
    with pytest.raises(GradientError, match=match):
        check_gradients(convolve, convolve_args(rng), vjp=mutant, differences=False)


def test_error_carries_fields_and_the_other_failures(rng):
    with pytest.raises(AssertionError, match="Also different: rev of the gradient for") as caught:
        check_gradients(convolve, convolve_args(rng), vjp=wrong_sign, linear=True)
    error = caught.value
    assert str(error).startswith("check_gradients: convolve: reverse mode")
    assert error.comparison.factor == pytest.approx(-1)
    assert error.comparison.index and error.comparison.mismatches <= error.comparison.size == 54
    assert error.comparison.actual == pytest.approx(-error.comparison.expected)
    assert {entry.check for entry in error.report.failures} == {"rev"}
    assert error.report.largest("rev") == pytest.approx(2, rel=1e-6)
    assert error.report.largest("differences") < 1e-11


def test_wrong_tie_rule_is_caught():
    x = np.asarray([1.0, 1.0, 3.0, 2.0, 0.0, 0.5])
    options = {"differences": False, "name": "pairs"}
    check_gradients(maximum_of_pairs, (x,), vjp=pairs_vjp, **options)
    last_wins = functools.partial(pairs_vjp, first_wins=False)
    with pytest.raises(GradientError, match=r"at element \(\d,\).*; 2 of 6 elements differ$"):
        check_gradients(maximum_of_pairs, (x,), vjp=last_wins, **options)


# Functions whose own derivative is wrong: autodiff must not be believed either.


@jax.custom_jvp
def wrong_tangent(x):
    return jnp.sin(x)


@wrong_tangent.defjvp
def _(primals, tangents):
    (x,), (t,) = primals, tangents
    return jnp.sin(x), jnp.cos(x) * t * jnp.where(jnp.arange(x.size) == 3, 1.001, 1.0)


@jax.custom_vjp
def wrong_pullback(x):
    return jnp.sin(x)


wrong_pullback.defvjp(lambda x: (jnp.sin(x), x), lambda x, c: (c * jnp.cos(x).at[3].multiply(2),))


@pytest.mark.parametrize(("size", "full_limit"), [(8, 64), (100, 64)])
def test_wrong_tangent_rule_is_caught_by_differences(rng, size, full_limit):
    x = jax.device_put(rng.standard_normal(size))
    match = r"central differences and reverse mode differ in the gradient for `x` .*element \(3,\)"
    with pytest.raises(GradientError, match=match):
        check_gradients(wrong_tangent, (x,), modes=("rev",), full_limit=full_limit)
    with pytest.raises(
        GradientError, match=r"forward mode and central differences differ.*output 0.*\(3,\)"
    ):
        check_gradients(wrong_tangent, (x,), modes=("rev", "fwd"), full_limit=full_limit)


def test_wrong_pullback_is_caught_although_forward_mode_is_missing(rng):
    x = jax.device_put(rng.standard_normal(6))
    with pytest.raises(GradientError, match=r"element \(3,\).*1 of 6 elements differ"):
        check_gradients(wrong_pullback, (x,), modes=("rev",))


@jax.custom_vjp
def right_pullback(x):
    return jnp.sin(x)


right_pullback.defvjp(lambda x: (jnp.sin(x), x), lambda x, c: (c * jnp.cos(x),))


def test_forward_mode_is_skipped_where_there_is_none(rng):
    x = jax.device_put(rng.standard_normal(6))
    report = check_gradients(
        lambda x: 2 * right_pullback(x), (x,), vjp=lambda c, x: 2 * c * np.cos(x), order=2,
        name="sine",
    )  # fmt: skip
    assert report.checks == ("rev", "second", "differences", "differences 2")
    (reason,) = report.skipped
    assert reason == "forward mode, which sine does not have: it calls a `jax.custom_vjp` function"
    assert str(report).endswith(f"skipped: {reason}")
    assert not check_gradients(jnp.sin, (x,)).skipped
    with pytest.raises(GradientError, match=r"element \(3,\).*1 of 6 elements differ"):
        check_gradients(wrong_pullback, (x,))
    with pytest.raises(
        TypeError, match=r"`modes` \(=\('fwd',\)\) asks for forward mode, which sin"
    ):
        check_gradients(right_pullback, (x,), modes=("fwd",), name="sine")


def test_arguments_that_are_not_in_a_tuple(rng):
    x = jax.device_put(rng.standard_normal(6))
    for check in (check_gradients, check_transforms):
        name = check.__name__
        with pytest.raises(
            TypeError, match=rf"{name}: `args` .* write {name}\(hypot, \(x0, x1\), .*"
        ):
            check(jnp.hypot, x, x)
        with pytest.raises(
            TypeError, match=rf"received 1 apart, .* {name}\(sin, \(x0,\), \.\.\.\)"
        ):
            check(jnp.sin, x)


def test_wrong_transpose_is_caught_by_the_other_mode(rng):
    """Forward and reverse mode disagree in one element of a large argument, which is found."""
    scale = rng.standard_normal(100)
    wrong = scale * np.where(np.arange(100) == 70, 3, 1)

    @jax.custom_jvp
    def fn(x):
        return x * scale

    @fn.defjvp
    def _(primals, tangents):
        (x,), (t,) = primals, tangents
        return x * scale, linear_call(lambda s, t: t * s, lambda s, c: c * wrong, scale, t)

    x = jax.device_put(rng.standard_normal(100))
    match = (
        r"forward mode and reverse mode differ in the gradient for `x` .*element \(70,\).*; 1 of"
    )
    with pytest.raises(GradientError, match=match):
        check_gradients(fn, (x,), differences=False)


def test_second_order_catches_a_derivative_cut_off(rng):
    """The gradient is right, its derivative is not: order 1 passes and order 2 does not."""

    @jax.custom_jvp
    def square(x):
        return x**2

    @square.defjvp
    def _(primals, tangents):
        (x,), (t,) = primals, tangents
        return x**2, 2 * lax.stop_gradient(x) * t

    x = jax.device_put(rng.standard_normal(7))
    check_gradients(square, (x,), vjp=lambda c, x: 2 * c * x)
    match = r"forward over reverse and central differences differ in the Hessian times t for `x`"
    with pytest.raises(GradientError, match=match):
        check_gradients(square, (x,), order=2)


def test_forward_mode_alone(rng):
    def powers(x):  # a while loop has no reverse mode
        return lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * x), (0, x))[1]

    x = jax.device_put(rng.standard_normal(5))
    report = check_gradients(powers, (x,), modes=("fwd",), vjp=lambda c, x: 4 * c * x**3)
    assert report.checks == ("fwd", "differences")
    with pytest.raises(GradientError, match="forward mode and the hand-derived VJP differ"):
        check_gradients(powers, (x,), modes=("fwd",), vjp=lambda c, x: 3 * c * x**3)


def test_trees_several_outputs_and_integer_arguments(rng):
    params = {"scale": jax.device_put(rng.standard_normal(3)), "shift": np.asarray(0.5)}
    x, order = jax.device_put(rng.standard_normal(3)), np.asarray([2, 0, 1])

    def fn(params, x, order, power):
        return params["scale"] * x[order] ** power, jnp.argmax(x), x.sum() + params["shift"]

    def vjp(cotangent, params, x, order, power):
        first, second = cotangent
        d_x = np.full(3, second)
        d_x[order] += first * params["scale"] * power * x[order] ** (power - 1)
        return {"scale": first * x[order] ** power, "shift": second}, d_x

    report = check_gradients(fn, (params, x, order, 2), vjp=vjp, order=2)
    assert any("`params['shift']` (argument 0)" in entry.of for entry in report.comparisons)
    check_gradients(fn, (params, x, order, 2), vjp=lambda *a: vjp(*a)[1], argnums=1)
    check_gradients(fn, (params, x, order, 2), vjp=lambda *a: (*vjp(*a), None, None), argnums=[1])


def test_a_function_that_computes_in_float32_gets_a_coarser_difference(rng):
    def fn(x):
        return jnp.exp(x.astype(jnp.float32))

    report = check_gradients(fn, (jax.device_put(rng.standard_normal(5)),))
    assert 1e-9 < report.largest("differences") < 1e-2


def test_nan_in_the_same_place_is_equal():
    x = np.asarray([1.0, np.nan, 2.0])
    check = functools.partial(check_gradients, jnp.square, (x,), modes=("rev",), differences=False)
    check(vjp=lambda c, x: 2 * c * x)
    with pytest.raises(GradientError, match="element .*reverse mode nan, the hand-derived VJP"):
        check(vjp=lambda c, x: np.nan_to_num(2 * c * x))


def test_optional_arguments_that_are_not_given_have_no_gradient():
    """A reference returns None for them, at the end or in place of an integer argument."""
    x, y = np.arange(3.0), np.arange(3)
    vjp_of_two = lambda c, x, y: (c * y, None)  # noqa: E731
    check_gradients(lambda x, y: x * y.astype(x.dtype), (x, y), vjp=vjp_of_two)
    check_gradients(jnp.sin, (x,), vjp=lambda c, x: (c * np.cos(x), None))


def test_empty_batches_pass():
    x = np.zeros((0, 3))
    assert check_gradients(jnp.sin, (x,), vjp=lambda c, x: c * np.cos(x), order=2).passed


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"modes": ("reverse",)}, r"check_gradients: `modes` \(=\('reverse',\)\) must be one or"),
        ({"modes": "rev"}, r"`modes` \(='rev'\) must be one or more of rev, fwd, in a tuple"),
        ({"modes": ()}, r"`modes` \(=\(\)\) must be"),
        ({"order": 3}, r"`order` \(=3\) must be 1, or 2 with reverse mode"),
        ({"order": 2, "modes": ("fwd",)}, r"`order` \(=2\) must be 1, or 2 with reverse mode"),
        ({"argnums": 4}, r"`argnums` \(=\(4,\)\) must be positions in `args`; received 1 argum"),
        ({"argnums": ()}, r"`args` must hold a floating-point or complex array to differentiate"),
        ({"vjp": lambda c, x: c[1:]}, r"sin: `vjp` must return.*\(4,\); received \(3,\)"),
        ({"vjp": lambda c, x: (c, c)}, r"`vjp` must return one gradient per.*received 2"),
    ],
)
def test_senseless_options_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        check_gradients(jnp.sin, (np.ones(4),), **options)


def test_functions_without_floating_point_output_are_refused():
    with pytest.raises(ValueError, match=r"check_gradients: argmax must return a floating-point"):
        check_gradients(jnp.argmax, (np.ones(4),))


def test_transforms_agree(rng):
    report = check_transforms(convolve, convolve_args(rng))
    assert report.checks == (
        "jit", "checkpoint", "vmap inputs", "vmap kernel", "vmap bias", "vmap all", "scan",
    )  # fmt: skip
    assert report.largest() < 1e-14
    assert check_transforms(jnp.sin, (np.ones(3),), transforms=("vmap",)).checks == ("vmap x",)


def test_transforms_in_low_precision_and_complex(rng):
    for dtype in ("bfloat16", "complex64"):
        options = {"transforms": ("jit", "scan"), "argnums": (0, 1)}
        assert check_transforms(convolve, convolve_args(rng, dtype), **options).passed


def test_wrong_batching_rule_is_caught(rng):
    @custom_vmap
    def constant(x):
        return jnp.zeros_like(x)

    @constant.def_vmap
    def _(axis_size, in_batched, x):
        return jnp.zeros_like(x).at[1, 2].set(1e-3), True

    def fn(x):
        return jnp.sin(x) + constant(lax.stop_gradient(x))

    x = jax.device_put(rng.standard_normal(4))
    match = (
        r"check_transforms: fn: vmap and no transformation differ in output 0 at element \(1, 2\)"
    )
    with pytest.raises(GradientError, match=match):
        check_transforms(fn, (x,), transforms=("jit", "vmap"))


@pytest.mark.parametrize("transform", ["jit", "checkpoint", "vmap", "scan"])
def test_function_with_a_memory_is_caught(rng, transform):
    calls = []

    def fn(x):
        calls.append(1)
        return x * len(calls)

    match = f"{transform} and no transformation differ in output 0"
    with pytest.raises(GradientError, match=match):
        check_transforms(fn, (jax.device_put(rng.standard_normal(4)),), transforms=(transform,))


@pytest.mark.parametrize("options", [{"transforms": ("grad",)}, {"transforms": "jit"}])
def test_unknown_transforms_are_refused(options):
    with pytest.raises(ValueError, match=r"`transforms` .* must be one or more of jit, vmap, ch"):
        check_transforms(jnp.sin, (np.ones(3),), **options)


def test_report_prints_a_line_per_check(rng):
    report = check_gradients(jnp.sin, (np.ones(3),), name="sin")
    assert isinstance(report, Report)
    lines = str(report).splitlines()
    assert lines[0] == "sin: largest relative error" and len(lines) == 3
    assert re.fullmatch(r"differences +\d\.\de-\d\d", lines[2])
    assert np.isnan(report.largest("rev"))


@pytest.mark.parametrize("wrong", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("size", [5, 100])
def test_a_gradient_that_is_no_number_is_held_too(size, wrong):
    """By elements, and by random directions, whose typical size it must not make infinite."""

    def vjp(cotangent, x):
        return np.where(np.arange(size) == 3, wrong, 2 * cotangent)

    with pytest.raises(GradientError, match="differ in"):
        check_gradients(lambda x: 2 * x, (np.ones(size),), vjp=vjp, modes=("fwd",),
                        differences=False)  # fmt: skip
