"""conv_local: against the reference, against `conv` where the kernels are equal, against Flax."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, geometry, reference
from jaxcnn.testing import check_gradients, check_transforms
from tests.helpers import generator, normal, value_and_gradients

# name: spatial sizes, in, out_features, kernel size, options
CASES = {
    "1d causal": ((6,), 3, 2, (3,), dict(padding="CAUSAL", kernel_dilation=2)),
    "2d": ((4, 5), 2, 3, (3, 2), dict()),
    "2d strided": ((7, 6), 2, 3, (3, 2), dict(strides=(2, 3), padding="VALID")),
    "2d crop": ((7, 8), 2, 3, (3, 2), dict(padding=((-1, 2), (-2, -1)), strides=(2, 1))),
    "2d circular": ((4, 5), 2, 3, (3, 2), dict(padding="CIRCULAR", strides=(2, 1))),
    "2d reflect": (
        (4, 5),
        2,
        3,
        (3, 2),
        dict(padding_mode="reflect", padding=1, input_dilation=(2, 1), strides=2),
    ),
    "2d all": (
        (5, 6),
        3,
        2,
        (2, 3),
        dict(
            strides=(2, 3), kernel_dilation=(2, 1), input_dilation=(2, 3), padding=((1, 2), (0, 3))
        ),
    ),
    "3d": ((3, 4, 3), 2, 2, (2, 3, 2), dict(strides=(1, 2, 1), padding=(0, 1, 1))),
    "4d": ((3, 3, 2, 3), 2, 1, (2, 2, 1, 2), dict(padding="VALID")),
    "2d large": ((24, 20), 12, 4, (3, 3), dict(strides=(1, 2))),
}  # fmt: skip


def out_shape(sizes, kernel_size, options) -> tuple[int, ...]:
    options = dict(options)
    dilation = options.get("kernel_dilation", 1)
    padding, _ = geometry.fill_and_amounts(
        options.get("padding", "SAME"), options.get("padding_mode", "zeros"),
        kernel_size, geometry.per_axis("d", dilation, len(kernel_size)),
    )  # fmt: skip
    return geometry.windows(
        sizes, kernel_size, strides=options.get("strides", 1), padding=padding,
        dilation=dilation, input_dilation=options.get("input_dilation", 1), crop=True,
    ).output_shape  # fmt: skip


def arrays(case: str, batch: tuple[int, ...] = (2,), dtype=np.float64, local_bias=False):
    sizes, in_features, out_features, kernel_size, options = CASES[case]
    rng = generator(case)
    out = out_shape(sizes, kernel_size, options)
    shapes = (
        (*batch, *sizes, in_features),
        (*out, *kernel_size, in_features, out_features),
        (*(out if local_bias else ()), out_features),
    )
    return normal(rng, shapes, dtype), options, rng


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference_in_value_and_gradient(case):
    args, options, rng = arrays(case, local_bias="strided" in case)
    expected = reference.conv_local(*args, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, gradients = value_and_gradients(functional.conv_local, cotangent, args, options)
    np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-12)
    hand = reference.conv_local_vjp(cotangent, *args, **options)
    for ours, right in zip(gradients, hand, strict=True):
        np.testing.assert_allclose(ours, right, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16, np.complex128])
def test_other_dtypes(dtype):
    args, options, rng = arrays("2d all", dtype=dtype)
    expected = reference.conv_local(*args, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, gradients = value_and_gradients(functional.conv_local, cotangent, args, options)
    assert outputs.dtype == dtype
    # a sum of up to 18 products of O(1), each rounded to the dtype's precision
    tolerance = 1e-10 if dtype is np.complex128 else 30 * float(jnp.finfo(dtype).eps)
    hand = reference.conv_local_vjp(cotangent, *args, **options)
    for ours, right in zip((outputs, *gradients), (expected, *hand), strict=True):
        got = np.asarray(ours).astype(np.result_type(right, dtype))
        np.testing.assert_allclose(got, right, rtol=0, atol=tolerance * np.abs(right).max())


def test_derivatives_in_every_mode_and_under_transformations():
    (inputs, kernel, _), options, _ = arrays("2d strided", ())
    fn = functools.partial(functional.conv_local, **options)
    check_gradients(
        fn, (inputs, kernel), order=2, linear=True, name="conv_local",
        vjp=lambda c, x, k: reference.conv_local_vjp(c, x, k, **options)[:2],
    )  # fmt: skip
    check_transforms(fn, (inputs, kernel), name="conv_local")


@pytest.mark.parametrize("batch", [(), (2, 3), (0,), (2, 0)])
def test_any_number_of_batch_axes(batch):
    args, options, _ = arrays("2d strided", batch)
    expected = reference.conv_local(*args, **options)
    outputs, gradients = value_and_gradients(functional.conv_local, expected, args, options)
    np.testing.assert_allclose(outputs, expected, atol=1e-12)
    assert gradients[1].shape == args[1].shape and np.isfinite(gradients[1]).all()


@pytest.mark.parametrize("case", ["1d causal", "2d strided", "2d circular", "3d"])
def test_is_conv_where_all_kernels_are_equal(case):
    (inputs, kernel, bias), options, rng = arrays(case)
    rank = kernel.ndim // 2 - 1
    shared = kernel[(0,) * rank]
    expected = reference.conv(inputs, shared, bias, **options)
    cotangent = rng.standard_normal(expected.shape)

    @jax.jit
    def run(shared, cotangent):
        def repeated(k):
            k = jnp.broadcast_to(k, kernel.shape)
            return functional.conv_local(inputs, k, bias, **options)

        ours, pullback = jax.vjp(repeated, shared)
        return ours, pullback(cotangent)[0]

    ours, gradient = run(shared, cotangent)
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    by_conv = reference.conv_vjp(cotangent, inputs, shared, bias, **options)[1]
    np.testing.assert_allclose(gradient, by_conv, atol=1e-11)


def test_is_what_flax_computes(rng):
    inputs = rng.standard_normal((2, 7, 6, 3)).astype(np.float32)
    layer = nn.ConvLocal(4, (3, 2), strides=(2, 1), padding=((1, 0), (2, 1)))
    shapes = jax.eval_shape(layer.init, jax.random.key(0), inputs)
    variables = jax.tree.map(lambda a: rng.standard_normal(a.shape).astype(a.dtype), shapes)
    kernel, bias = variables["params"]["kernel"], variables["params"]["bias"]
    expected = jax.jit(layer.apply)(variables, inputs)
    ours = functional.conv_local(
        inputs,
        np.moveaxis(kernel.reshape((*kernel.shape[:2], 3, 3, 2, 4)), 2, -2),
        bias,
        strides=(2, 1),
        padding=((1, 0), (2, 1)),
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_8_bit_integers_accumulate_in_the_preferred_type(rng):
    inputs = rng.integers(0, 127, (2, 5, 6, 8)).astype(np.int8)
    kernel = rng.integers(0, 127, (5, 6, 3, 3, 8, 2)).astype(np.int8)
    outputs = functional.conv_local(inputs, kernel, preferred_element_type=jnp.int32)
    assert outputs.dtype == jnp.int32
    np.testing.assert_array_equal(outputs, reference.conv_local(inputs, kernel))


X, K = np.ones((4, 5, 4, 3), np.float32), np.ones((5, 4, 3, 2, 3, 2), np.float32)
BAD = {
    "list": (TypeError, r"conv_local: `kernel` must be an array, got list", (X, [1.0]), {}),
    "odd axes": (ValueError, r"conv_local: `kernel` must be \(\*out, \*kernel_s", (X, K[0]), {}),
    "few axes": (ValueError, r"conv_local: `inputs` must be .* inputs \(4, 3\)", (X[0, 0], K), {}),
    "channels": (ValueError, r"must have the 3 channels of .* got 2", (X, K[..., :2, :]), {}),
    "no tap": (ValueError, r"conv_local: `kernel` must have no empty axis", (X, K[:, :, :0]), {}),
    "out": (
        ValueError,
        r"one kernel for each of the \(3, 3\) windows, got \(5, 4\); received inputs",
        (X, K),
        dict(padding="VALID"),
    ),
    "strides": (ValueError, r"conv_local: `strides` \(=0\)", (X, K), dict(strides=0)),
    "bias": (ValueError, r"conv_local: `bias` must be \(2,\)", (X, K, X[0, 0, 0]), {}),
    "local bias": (
        ValueError,
        r"conv_local: `bias` must be \(2,\), or \(5, 4\) followed",
        (X, K, X[0]),
        {},
    ),
    "8 bit": (ValueError, r"given for int8", (X.astype(np.int8), K.astype(np.int8)), {}),
    "precision": (TypeError, r"conv_local: `precision` \(=3\)", (X, K), dict(precision=3)),
    "mode": (ValueError, r"conv_local: `padding_mode`", (X, K), dict(padding_mode="wrap")),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_under_jit_too(case):
    kind, message, args, options = BAD[case]
    with pytest.raises(kind, match=message):
        functional.conv_local(*args, **options)
    if all(isinstance(a, np.ndarray) for a in args):
        with pytest.raises(kind, match=message):
            jax.jit(lambda *a: functional.conv_local(*a, **options))(*args)
