"""grey_dilation, grey_erosion: the reference, TensorFlow's values, ties, NaN, padding, dtypes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference
from tests.helpers import generator

FUNCTIONS = ("grey_dilation", "grey_erosion")

# name: spatial sizes, kernel_size, options
CASES = {
    "1d causal": ((7,), (3,), dict(padding="CAUSAL", kernel_dilation=2)),
    "2d same": ((6, 5), (3, 2), dict(strides=(1, 2))),
    "2d same lower": ((7, 6), (2, 2), dict(padding="SAME_LOWER", kernel_dilation=(2, 1))),
    "2d valid": ((7, 6), (3, 2), dict(padding="VALID", strides=(3, 1))),
    "2d full": ((4, 5), (2, 3), dict(padding="FULL")),
    "2d pairs": ((6, 5), (3, 2), dict(padding=((0, 2), (1, 1)), strides=2, kernel_dilation=(1, 2))),
    "2d int": ((6, 5), (3, 3), dict(padding=2, strides=(2, 3))),
    "3d": ((4, 3, 5), (2, 1, 3), dict(strides=(1, 2, 1), padding=(1, 0, 1))),
    "4d": ((3, 2, 3, 2), (2, 1, 1, 2), dict()),
    "2d large": ((26, 22), (3, 2), dict(padding="VALID")),
}


def arrays(case: str, batch: tuple[int, ...] = (2,), dtype=np.float64):
    sizes, kernel_size, options = CASES[case]
    rng = generator(case)
    channels = 8 if "large" in case else 3
    inputs = rng.standard_normal((*batch, *sizes, channels))
    kernel = rng.standard_normal((*kernel_size, channels)) / 2
    return inputs.astype(dtype), kernel.astype(dtype), options, rng


@functools.partial(jax.jit, static_argnums=(0, 4))
def run(function, inputs, kernel, cotangent, static):
    fn = functools.partial(getattr(functional, function), **dict(static))
    outputs, pullback = jax.vjp(fn, inputs, kernel)
    return outputs, *pullback(cotangent.astype(outputs.dtype))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("case", CASES)
def test_agree_with_the_reference_in_value_and_gradient(case, function):
    inputs, kernel, options, rng = arrays(case)
    expected = getattr(reference, function)(inputs, kernel, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, *gradients = run(function, inputs, kernel, cotangent, tuple(options.items()))
    np.testing.assert_allclose(outputs, expected, rtol=1e-14)
    vjp = getattr(reference, function + "_vjp")
    for ours, hand in zip(gradients, vjp(cotangent, inputs, kernel, **options), strict=True):
        np.testing.assert_allclose(ours, hand, atol=1e-12)


SQUARE = np.array([[0.1, 0.2], [0.3, 0.4]])
DEEP = np.array([[[0.1, 0.2, 0.0], [0.2, 0.3, 0.1]], [[0.3, 0.4, 0.2], [0.4, 0.5, 0.3]]])
NINE, TWELVE = np.arange(1, 10).reshape(3, 3) / 10, np.arange(1, 13).reshape(3, 4) / 10
FLAT_END, ELEMENT = np.array([[0.4, 0.3], [0.1, 0.0]]), np.array([[0.4, 0.3], [0.1, 0.2]])
DEEP_ELEMENT = np.array([[[0.4, 0.5, 0.3], [0.3, 0.4, 0.2]], [[0.1, 0.2, 0.0], [0.0, 0.1, -0.1]]])
# what TensorFlow's own tests of dilation2d and erosion2d expect: image, kernel, options, both
TENSORFLOW = {
    "valid": (SQUARE, FLAT_END, dict(padding="VALID"), [[0.5]], [[0.0]]),
    "same": (SQUARE, FLAT_END, dict(), [[0.5, 0.6], [0.7, 0.8]], [[0.0, 0.1], [0.3, 0.4]]),
    "depth": (
        DEEP,
        DEEP_ELEMENT,
        dict(),
        [[[0.5, 0.7, 0.3], [0.6, 0.8, 0.4]], [[0.7, 0.9, 0.5], [0.8, 1.0, 0.6]]],
        [[[0.0, 0.0, 0.0], [0.1, 0.1, 0.1]], [[0.3, 0.3, 0.3], [0.4, 0.4, 0.4]]],
    ),
    "one row": (SQUARE, FLAT_END[:1], dict(padding="VALID"), [[0.5], [0.7]], [[-0.2], [0.0]]),
    "rate 2": (
        NINE,
        ELEMENT,
        dict(kernel_dilation=2),
        [[0.7, 0.8, 0.6], [1.0, 1.1, 0.9], [0.8, 0.9, 0.9]],
        [[0.1, 0.1, 0.2], [0.1, -0.1, 0.0], [0.4, 0.2, 0.3]],
    ),
    "strides 1, 2": (
        TWELVE,
        ELEMENT,
        dict(padding="VALID", strides=(1, 2)),
        [[0.8, 1.0], [1.2, 1.4]],
        [[-0.1, 0.1], [0.3, 0.5]],
    ),
}


@pytest.mark.parametrize("case", TENSORFLOW)
def test_are_tensorflow_s(case):
    image, kernel, options, *expected = TENSORFLOW[case]
    if image.ndim == 2:
        image, kernel, expected = image[..., None], kernel[..., None], np.array(expected)[..., None]
    for function, values in zip(FUNCTIONS, expected, strict=True):
        for package in (functional, reference):
            outputs = getattr(package, function)(image, kernel, **options)
            np.testing.assert_allclose(outputs, values, atol=1e-12)


def test_erosion_is_the_dual_of_dilation_with_the_reflected_kernel():
    inputs, kernel, options, _ = arrays("2d pairs")
    dual = -functional.grey_dilation(-inputs, kernel[::-1, ::-1], **options)
    np.testing.assert_array_equal(functional.grey_erosion(inputs, kernel, **options), dual)


def test_a_kernel_of_zeros_gives_the_pools():
    inputs, kernel, options, _ = arrays("2d valid")
    windows = np.lib.stride_tricks.sliding_window_view(inputs, (3, 2), (1, 2))[:, ::3]
    zeros = np.zeros_like(kernel)
    np.testing.assert_array_equal(
        functional.grey_dilation(inputs, zeros, **options), windows.max((-2, -1))
    )
    np.testing.assert_array_equal(
        functional.grey_erosion(inputs, zeros, **options), windows.min((-2, -1))
    )


def test_closing_is_never_below_and_opening_never_above(rng):
    inputs, kernel = rng.standard_normal((2, 9, 8, 3)), rng.standard_normal((3, 5, 3))
    dilate = jax.jit(functional.grey_dilation)
    erode = jax.jit(functional.grey_erosion)
    closed, opened = erode(dilate(inputs, kernel), kernel), dilate(erode(inputs, kernel), kernel)
    assert (closed >= inputs - 1e-12).all() and (opened <= inputs + 1e-12).all()
    np.testing.assert_allclose(erode(dilate(closed, kernel), kernel), closed, atol=1e-12)


def pulled(function, inputs, kernel, cotangent, **options):
    """Values and gradients for a 1-D signal of one channel, as lists."""
    inputs, kernel = (np.asarray(v, np.float64)[:, None] for v in (inputs, kernel))
    static = tuple(options.items())
    cotangent = np.asarray(cotangent, np.float64)[:, None]
    return [np.ravel(v).tolist() for v in run(function, inputs, kernel, cotangent, static)]


def test_at_a_tie_the_first_in_the_window_takes_the_whole_gradient():
    # the sums are 3, 3, 1 and 4, 1, 2
    got = pulled("grey_dilation", [2, 3, 1, 2], [1, 0, 0], [10, 20], padding="VALID")
    assert got == [[3, 4], [10, 20, 0, 0], [30, 0, 0]]
    # the kernel is reflected: 2 - 0, 3 - 0, 3 - 1 tie at 2; then 3 - 0, 3 - 0, 5 - 1 at 3
    got = pulled("grey_erosion", [2, 3, 3, 5], [1, 0, 0], [10, 20], padding="VALID")
    assert got == [[2, 3], [10, 20, 0, 0], [0, 0, -30]]
    # taps in the padding are no candidates: the first tap on the image wins
    got = pulled("grey_dilation", [0, 0], [0, 0, 0], [1, 10], padding="SAME")
    assert got == [[0, 0], [11, 0], [10, 1, 0]]


@pytest.mark.parametrize("function, sign", [("grey_dilation", 1), ("grey_erosion", -1)])
def test_the_padding_never_wins(function, sign):
    worst = -sign * np.inf
    got = pulled(function, [worst, worst], [0, 0, 0], [1, 10], padding="SAME")
    assert got == [[worst, worst], [11, 0], [10, 1, 0] if sign > 0 else [0, -1, -10]]
    # kernels that would lift any finite padding above the image
    got = pulled(function, [-sign * 1e300], [1e290, 0, 1e290], [1], padding="SAME")
    assert got == [[-sign * 1e300], [1], [0, sign, 0]]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nan_comes_out_and_takes_the_gradient(function):
    nan = np.nan
    outputs, d_inputs, d_kernel = pulled(
        function, [9, nan, nan, -9, 1, 2], [0, 0], [1, 2, 4, 8, 16], padding="VALID"
    )
    assert np.isnan(outputs).tolist() == [True, True, True, False, False]
    assert d_inputs[1:3] == [3, 4] and d_inputs[0] == 0
    assert sum(d_inputs) == abs(sum(d_kernel)) == 31
    outputs, d_inputs, d_kernel = pulled(function, [1, 2, 3], [nan, 0], [1, 2], padding="VALID")
    assert np.isnan(outputs).all()
    assert d_kernel in ([3, 0], [-3, 0])


def test_an_entry_of_minus_infinity_leaves_its_tap_out():
    got = pulled("grey_dilation", [5, 1, 2, 4], [-np.inf, 0, 1], [1, 10], padding="VALID")
    assert got == [[3, 5], [0, 0, 1, 10], [0, 0, 11]]
    got = pulled("grey_erosion", [1, 5, 3, -4], [0, 1, -np.inf], [1, 10], padding="VALID")
    assert got[0] == [3, -4] and got[1] == [0, 0, 1, 10]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16, np.float16])
def test_narrow_floats(dtype, function):
    inputs, kernel, options, rng = arrays("2d pairs", dtype=dtype)
    wide = [np.asarray(v, np.float64) for v in (inputs, kernel)]
    expected = getattr(reference, function)(*wide, **options)
    cotangent = rng.standard_normal(expected.shape).astype(dtype).astype(np.float64)
    outputs, *gradients = run(function, inputs, kernel, cotangent, tuple(options.items()))
    assert all(v.dtype == dtype for v in (outputs, *gradients))
    eps = float(jnp.finfo(dtype).eps)
    # one sum of two numbers, rounded once
    np.testing.assert_allclose(np.asarray(outputs, np.float64), expected, atol=eps, rtol=eps)
    # rounding may move a near-tie to another tap: the gradient of inputs keeps its total, as the
    # cotangent is given away whole, and both sums run in float32 and are rounded once
    for gradient in gradients:
        total = np.asarray(gradient, np.float64).sum()
        sign = -1 if function == "grey_erosion" and gradient is gradients[1] else 1
        np.testing.assert_allclose(total, sign * cotangent.sum(), atol=100 * eps)


def test_the_kernel_s_gradient_sums_16_bit_floats_in_32():
    inputs, kernel = np.zeros((64, 64, 1), jnp.bfloat16), np.zeros((1, 1, 1), jnp.bfloat16)
    _, _, gradient = run("grey_dilation", inputs, kernel, np.ones_like(inputs), ())
    assert gradient.dtype == jnp.bfloat16 and gradient.item() == 4096


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint16, np.int64])
def test_integers_saturate_and_never_wrap(function, dtype, rng):
    info = np.iinfo(dtype)
    inputs = rng.integers(info.min, info.max, (2, 6, 5, 3), dtype, endpoint=True)
    kernel = rng.integers(info.min, info.max, (3, 2, 3), dtype, endpoint=True) // 2
    outputs = getattr(functional, function)(inputs, kernel)
    assert outputs.dtype == dtype
    best, sign = (np.max, 1) if function == "grey_dilation" else (np.min, -1)
    element = kernel if sign == 1 else kernel[::-1, ::-1]
    exact = np.empty(inputs.shape, object)  # Python's integers have no end
    for n, y, x, c in np.ndindex(*inputs.shape):
        sums = [
            int(inputs[n, y + a - 1, x + b, c]) + sign * int(element[a, b, c])
            for a in range(3)
            for b in range(2)
            if 0 <= y + a - 1 < 6 and x + b < 5
        ]
        exact[n, y, x, c] = min(max(int(best(np.array(sums, object))), info.min), info.max)
    assert (np.asarray(outputs).astype(object) == exact).all()
    assert (exact == (info.max if sign == 1 else info.min)).any()


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("batch", [(), (2, 3), (0,), (2, 0)])
def test_any_number_of_batch_axes(batch, function):
    inputs, kernel, options, _ = arrays("1d causal", batch)
    expected = getattr(reference, function)(inputs, kernel, **options)
    cotangent = np.ones_like(expected)
    outputs, d_inputs, d_kernel = run(function, inputs, kernel, cotangent, tuple(options.items()))
    np.testing.assert_allclose(outputs, expected, rtol=1e-14)
    assert d_inputs.shape == inputs.shape and np.isfinite(d_kernel).all()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_vmap_over_inputs_kernels_and_both(function):
    inputs, kernel, options, rng = arrays("1d causal")
    fn = functools.partial(getattr(functional, function), **options)
    many = (np.stack([inputs, 2 * inputs, -inputs]), np.stack([kernel, -kernel, kernel[::-1]]))

    def energy(x, k):
        return (fn(x, k) ** 2).sum()

    @functools.partial(jax.jit, static_argnums=0)
    def mapped(axes, *args):
        return jax.vmap(fn, axes)(*args), jax.vmap(jax.grad(energy, (0, 1)), axes)(*args)

    for axes in ((0, None), (None, 0), (0, 0)):
        pairs = zip(many, (inputs, kernel), axes, strict=True)
        args = [stack if axis == 0 else one for stack, one, axis in pairs]
        outputs, (d_inputs, d_kernel) = jax.device_get(mapped(axes, *args))
        for i in range(3):
            one = [a[i] if axis == 0 else a for a, axis in zip(args, axes, strict=True)]
            expected = getattr(reference, function)(*one, **options)
            np.testing.assert_allclose(outputs[i], expected, rtol=1e-13)
            hand = getattr(reference, function + "_vjp")(2 * expected, *one, **options)
            np.testing.assert_allclose(d_inputs[i], hand[0], atol=1e-12)
            np.testing.assert_allclose(d_kernel[i], hand[1], atol=1e-11)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_forward_mode_second_order_and_control_flow(function):
    inputs, kernel, options, rng = arrays("1d causal")
    fn = functools.partial(getattr(functional, function), **options)
    dx, dk = rng.standard_normal(inputs.shape), rng.standard_normal(kernel.shape)
    vjp = functools.partial(getattr(reference, function + "_vjp"), **options)

    @jax.jit
    def derivatives(x, k):
        energy = jax.checkpoint(lambda x, k: (fn(x, k) ** 3).sum() / 6)
        outputs, moved = jax.jvp(fn, (x, k), (dx, dk))
        hvp = jax.jvp(jax.grad(energy, (0, 1)), (x, k), (dx, dk))[1]
        twice = jax.jvp(lambda x, k: jax.jvp(fn, (x, k), (dx, dk)), (x, k), (dx, dk))[1]
        return outputs, moved, hvp, twice, jax.lax.map(lambda x: fn(x, k), x)

    outputs, moved, hvp, twice, by_map = jax.device_get(derivatives(inputs, kernel))
    cotangent = rng.standard_normal(outputs.shape)
    d_inputs, d_kernel = vjp(cotangent, inputs, kernel)
    pairing = (d_inputs * dx).sum() + (d_kernel * dk).sum()
    np.testing.assert_allclose((cotangent * moved).sum(), pairing)
    # the function is piecewise linear: H of sum(y**3)/6 is J' diag(y) J, and J's change is 0
    for ours, hand in zip(hvp, vjp(outputs * moved, inputs, kernel), strict=True):
        np.testing.assert_allclose(ours, hand, atol=1e-12)
    np.testing.assert_array_equal(twice[0], moved)
    np.testing.assert_array_equal(twice[1], np.zeros_like(moved))
    np.testing.assert_array_equal(by_map, outputs)


def test_gradients_scatter_nothing():
    inputs, kernel, options, _ = arrays("2d pairs")
    text = str(
        jax.make_jaxpr(
            jax.grad(lambda x, k: functional.grey_dilation(x, k, **options).sum(), (0, 1))
        )(inputs, kernel)
    )
    assert "scatter" not in text and "gather" not in text and "select_and" not in text


X, K = np.ones((2, 7, 6, 3), np.float32), np.ones((3, 2, 3), np.float32)
BAD = {
    "list": (TypeError, r": `inputs` must be an array, got list", ([[1.0]], K), {}),
    "kernel list": (TypeError, r": `kernel` must be an array, got list", (X, [[1.0]]), {}),
    "bool": (TypeError, r": `inputs` and `kernel` must hold real numbers", (X > 0, K > 0), {}),
    "complex": (TypeError, r"real numbers, .* complex64", (X.astype("F"), K.astype("F")), {}),
    "no axis": (ValueError, r": `kernel` must be \(\*kernel_size, ch", (X, K[0, 0]), {}),
    "no tap": (ValueError, r": `kernel` must be .* received kernel \(0, 2, 3\)", (X, K[:0]), {}),
    "few axes": (ValueError, r": `inputs` must be .* since the kernel", (X[0, 0], K), {}),
    "channels": (
        ValueError,
        r": `kernel` must have as many channels as the inputs \(3\), got 2; received inputs",
        (X, K[..., :2]),
        {},
    ),
    "no pixel": (ValueError, r": `inputs` must have no empty spatial", (X[:, :0], K), {}),
    "stride": (ValueError, r": `strides` \(=0\) must be at least 1", (X, K), dict(strides=0)),
    "dilation": (
        ValueError,
        r": `kernel_dilation` \(=1.5\) must be a whole number",
        (X, K),
        dict(kernel_dilation=1.5),
    ),
    "too large": (
        ValueError,
        r": `kernel` \(=\(3, 2\)\) spans 9 pixels along spatial axis 0, more than the 7",
        (X, K),
        dict(padding="VALID", kernel_dilation=4),
    ),
    "crop": (ValueError, r": `padding` \(=-1\) must not be negative", (X, K), dict(padding=-1)),
    "name": (ValueError, r": `padding` \(='REFLECT'\)", (X, K), dict(padding="REFLECT")),
    "in the padding": (
        ValueError,
        r": `padding` \(=\(\(3, 0\), \(0, 0\)\)\) leaves window 0 along spatial axis 0 without a",
        (X, K),
        dict(padding=((3, 0), (0, 0))),
    ),
    "between the taps": (
        ValueError,
        r": `padding` .* leaves window 1 along spatial axis 1 without a pixel",
        (X[:, :, :1], K),
        dict(padding=((0, 0), (2, 2)), kernel_dilation=(1, 2)),
    ),
}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("case", BAD)
def test_refuse(case, function):
    error, message, args, options = BAD[case]
    fn = functools.partial(getattr(functional, function), **options)
    with pytest.raises(error, match=function + message if message[0] == ":" else message):
        fn(*args)
    if all(isinstance(v, np.ndarray) for v in args):
        with pytest.raises(error, match=function):
            jax.eval_shape(fn, *args)
