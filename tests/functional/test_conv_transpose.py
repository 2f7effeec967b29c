"""conv_transpose: against the reference, the adjoint of conv, Flax and PyTorch; corners; dtypes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import functional, reference
from tests.helpers import convolution_arrays, value_and_gradients

# name: spatial sizes, in, out, kernel size, options
CASES = {
    "1d": ((5,), 3, 4, (3,), dict(strides=2, padding=1)),
    "1d causal": ((5,), 2, 3, (3,), dict(strides=2, padding="CAUSAL", kernel_dilation=2)),
    "1d valid, gaps": ((5,), 2, 3, (2,), dict(strides=4, padding="VALID")),
    "1d full": ((7,), 2, 3, (3,), dict(strides=2, padding="FULL")),
    "2d same lower": ((4, 5), 2, 3, (2, 5), dict(strides=(1, 2), padding="SAME_LOWER")),
    "2d same, smaller": ((4, 5), 2, 3, (3, 4), dict(strides=(2, 3), output_shape=(7, 13))),
    "2d valid, longer": (
        (4, 3), 2, 3, (4, 2), dict(strides=(3, 2), padding="VALID", output_padding=(2, 0))
    ),
    "2d stride 1": ((4, 5), 2, 3, (3, 2), dict(padding=((2, 0), (1, 1)))),
    "2d output padding": (
        (4, 5), 2, 3, (3, 4),
        dict(strides=(2, 3), padding=((0, 2), (3, 1)), output_padding=(1, 2)),
    ),
    "2d output shape": (
        (4, 5), 2, 3, (3, 4), dict(strides=(3, 2), padding=1, output_shape=(12, 11))
    ),
    "2d beyond the stride": (
        (4, 5), 2, 3, (3, 2),
        dict(strides=2, padding=((0, 1), (2, 0)), kernel_dilation=4, output_padding=3),
    ),
    "2d cropped": (
        (4, 5), 2, 3, (2, 3), dict(strides=(2, 1), padding=(3, 2), output_padding=(1, 0))
    ),
    "2d negative": ((4, 3), 2, 3, (2, 3), dict(strides=2, padding=((-3, 1), (0, -2)))),
    "2d grouped": ((4, 5), 6, 4, (3, 2), dict(strides=(2, 1), padding=1, feature_group_count=2)),
    "2d depthwise": ((4, 5), 3, 6, (4, 2), dict(strides=2, feature_group_count=3)),
    "2d circular": ((4, 3), 2, 3, (3, 5), dict(strides=(1, 2), padding="CIRCULAR")),
    "2d circular beyond": (
        (2, 3), 2, 3, (3, 4),
        dict(strides=2, padding=(5, 3), kernel_dilation=4, padding_mode="circular"),
    ),
    "2d reflect": (
        (4, 5), 4, 6, (3, 4),
        dict(strides=(2, 1), padding=((1, 2), (3, 0)), padding_mode="reflect",
             output_padding=(1, 0), feature_group_count=2),
    ),
    "2d reflect named": ((4, 5), 2, 3, (4, 3), dict(strides=(3, 1), padding="REFLECT")),
    "2d replicate": (
        (4, 3), 2, 3, (2, 3),
        dict(strides=(1, 2), padding=((2, 0), (1, 3)), padding_mode="replicate"),
    ),
    "2d replicate same": ((4, 3), 2, 3, (4, 3), dict(strides=(2, 1), padding_mode="replicate")),
    "3d": ((3, 4, 2), 2, 3, (2, 3, 4), dict(strides=(1, 2, 2), padding=(0, 1, 2))),
    "4d": ((2, 3, 2, 3), 2, 2, (2, 1, 2, 2), dict(strides=(2, 1, 1, 2), padding="VALID")),
    "2d large": ((14, 12), 12, 16, (4, 3), dict(strides=(2, 3))),
}  # fmt: skip


def arrays(case: str, **options):
    return convolution_arrays(case, CASES[case], **options)


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference_in_value_and_gradient(case):
    args, options, rng = arrays(case, transpose_kernel=len(case) % 2 == 0)
    expected = reference.conv_transpose(*args, **options)
    cotangent = rng.standard_normal(expected.shape)
    hand = reference.conv_transpose_vjp(cotangent, *args, **options)
    outputs, gradients = value_and_gradients(functional.conv_transpose, cotangent, args, options)
    np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-12)
    for ours, right in zip(gradients, hand, strict=True):
        np.testing.assert_allclose(ours, right, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("case", [c for c in CASES if c != "2d circular"])
def test_is_the_adjoint_of_conv(case):
    (inputs, kernel, _), options, rng = arrays(case, transpose_kernel=True)
    outputs = reference.conv_transpose(inputs, kernel, **options)  # held against ours above
    only_here = ("output_padding", "output_shape", "transpose_kernel")
    options = {name: value for name, value in options.items() if name not in only_here}
    probe = rng.standard_normal(outputs.shape)
    convolved = np.asarray(functional.conv(probe, kernel, **options))
    # an output_padding of a stride or more makes room for windows that the transpose leaves out
    kept = tuple(slice(n) for n in inputs.shape)
    np.testing.assert_allclose((convolved[kept] * inputs).sum(), (probe * outputs).sum())


@pytest.mark.parametrize("strides, kernel_size", [(1, (3, 5)), (2, (4, 3)), (2, (6, 2))])
def test_circular_is_the_adjoint_where_flax_and_conv_agree(strides, kernel_size, rng):
    inputs, kernel = rng.standard_normal((2, 4, 3, 2)), rng.standard_normal((*kernel_size, 3, 2))
    options = dict(strides=strides, padding="CIRCULAR")
    outputs = np.asarray(
        functional.conv_transpose(inputs, kernel, transpose_kernel=True, **options)
    )
    probe = rng.standard_normal(outputs.shape)
    convolved = np.asarray(functional.conv(probe, kernel, **options))
    np.testing.assert_allclose((convolved * inputs).sum(), (probe * outputs).sum())


@pytest.mark.parametrize(
    "padding, strides, kernel_size, kernel_dilation, transpose_kernel",
    [
        ("SAME", (2, 3), (3, 4), 1, False),
        ("SAME", (1, 2), (2, 5), (2, 1), True),
        ("VALID", (2, 3), (3, 2), (1, 2), False),
        ("VALID", (2, 3), (3, 2), (1, 2), True),
        ("CIRCULAR", (1, 1), (4, 3), 1, False),
        ("CIRCULAR", (2, 3), (6, 5), 1, True),
        # the kernel goes round more than once
        ("CIRCULAR", (3, 2), (2, 5), (1, 3), False),
        ("CIRCULAR", (3, 2), (2, 5), (1, 3), True),
    ],
)
def test_is_what_flax_computes(
    padding, strides, kernel_size, kernel_dilation, transpose_kernel, rng
):
    layer = nnx.ConvTranspose(
        3, 4, kernel_size, strides, padding=padding, kernel_dilation=kernel_dilation,
        transpose_kernel=transpose_kernel, param_dtype=jnp.float64, rngs=nnx.Rngs(0),
        kernel_init=nnx.initializers.zeros_init(),
    )  # fmt: skip
    layer.kernel[...] = jax.device_put(rng.normal(size=layer.kernel.shape))
    inputs = rng.normal(size=(2, 4, 3, 3))
    options = dict(
        strides=strides, padding=padding, kernel_dilation=kernel_dilation,
        transpose_kernel=transpose_kernel,
    )  # fmt: skip
    ours, theirs = nnx.jit(
        lambda layer, x: (
            functional.conv_transpose(x, layer.kernel[...], **options),
            layer(x),
        )
    )(layer, inputs)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_amounts_of_the_dilated_input_convert_to_ours(rng):
    inputs, kernel = rng.standard_normal((2, 5, 3)), rng.standard_normal((3, 3, 4))
    for amount, size in ((0, 7), (1, 9), (2, 11)):
        flax = jax.lax.conv_transpose(inputs, kernel, (2,), [(amount, amount)])
        ours = functional.conv_transpose(inputs, kernel, strides=2, padding=2 - amount)
        assert ours.shape == (2, size, 4)
        np.testing.assert_allclose(ours, flax, atol=1e-12)


@pytest.mark.parametrize(
    "rank, strides, padding, output_padding, kernel_dilation, groups",
    [
        (1, 2, 1, 1, 1, 1),
        (1, 2, 3, 2, 3, 2),
        (2, (2, 3), (0, 4), (1, 2), 1, 2),
        (2, (3, 1), (4, 1), (2, 0), (1, 2), 1),
        (2, (2, 1), (1, 5), (0, 2), (2, 3), 2),
        (3, (1, 2, 2), (0, 1, 2), (0, 1, 0), (1, 1, 2), 2),
    ],
)
def test_is_what_torch_computes(rank, strides, padding, output_padding, kernel_dilation, groups):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(rank)
    inputs = rng.standard_normal((2, *(4, 5, 3)[:rank], 4))
    kernel = rng.standard_normal((*(3, 4, 2)[:rank], 3, 4))
    expected = getattr(torch.nn.functional, f"conv_transpose{rank}d")(
        torch.from_numpy(np.moveaxis(inputs, -1, 1)),
        torch.from_numpy(np.moveaxis(kernel, (-1, -2), (0, 1))),
        stride=strides, padding=padding, output_padding=output_padding,
        dilation=kernel_dilation, groups=groups,
    )  # fmt: skip
    outputs = functional.conv_transpose(
        inputs, kernel, strides=strides, padding=padding, output_padding=output_padding,
        kernel_dilation=kernel_dilation, feature_group_count=groups, transpose_kernel=True,
    )  # fmt: skip
    np.testing.assert_allclose(outputs, np.moveaxis(expected.numpy(), 1, -1), atol=1e-12)


def test_sizes_of_the_corner_table():
    def size(**options):
        transposed = functools.partial(functional.conv_transpose, strides=2, **options)
        return jax.eval_shape(transposed, np.ones((5, 1)), np.ones((3, 1, 1))).size

    assert [size(padding=p) for p in (0, 1, 2)] == [11, 9, 7]
    assert [size(padding=p, output_padding=1) for p in (0, 1, 2)] == [12, 10, 8]
    assert [size(padding=1, output_shape=m) for m in (9, 10)] == [9, 10]
    assert (size(padding="SAME"), size(padding="VALID"), size(padding="FULL")) == (10, 11, 7)
    assert size(padding="VALID", kernel_dilation=3) == 10 + 5


def test_the_difference_goes_to_the_end():
    inputs, kernel = np.arange(1.0, 4.0)[:, None], np.array([1.0, 10.0, 100.0]).reshape(3, 1, 1)
    transposed = functools.partial(
        functional.conv_transpose, inputs, kernel, strides=2, padding=((1, 2),),
        transpose_kernel=True,
    )  # fmt: skip
    assert transposed().ravel().tolist() == [10, 102, 20, 203]
    assert transposed(output_shape=5).ravel().tolist() == [10, 102, 20, 203, 30]


@pytest.mark.parametrize(
    "case, dtype",
    [
        *(("1d", dtype) for dtype in (np.float32, jnp.bfloat16, np.float16, np.complex128)),
        *(("2d reflect", dtype) for dtype in (jnp.bfloat16, np.complex128)),
    ],
)
def test_other_dtypes(case, dtype):
    args, options, rng = arrays(case, dtype=dtype)
    expected = reference.conv_transpose(*args, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, gradients = value_and_gradients(functional.conv_transpose, cotangent, args, options)
    assert outputs.dtype == dtype
    # a sum of up to 72 products of O(1), each rounded to the dtype's precision
    tolerance = 1e-10 if dtype is np.complex128 else 30 * float(jnp.finfo(dtype).eps)
    hand = reference.conv_transpose_vjp(cotangent, *args, **options)
    for ours, right in zip((outputs, *gradients), (expected, *hand), strict=True):
        got = np.asarray(ours).astype(np.result_type(right, dtype))
        np.testing.assert_allclose(got, right, rtol=0, atol=tolerance * np.abs(right).max())


@pytest.mark.parametrize("mode", ["zeros", "circular"])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_8_bit_integers_accumulate_in_the_preferred_type(dtype, mode, rng):
    inputs = rng.integers(0, 127, (2, 5, 4, 8)).astype(dtype)
    kernel = rng.integers(0, 127, (3, 3, 8, 4)).astype(dtype)
    options = dict(strides=(2, 1), padding_mode=mode)
    outputs = functional.conv_transpose(inputs, kernel, preferred_element_type=jnp.int32, **options)
    assert outputs.dtype == jnp.int32
    np.testing.assert_array_equal(outputs, reference.conv_transpose(inputs, kernel, **options))


@pytest.mark.parametrize("batch", [(), (2, 3), (0,), (2, 0)])
def test_any_number_of_batch_axes(batch):
    args, options, rng = arrays("2d reflect", batch=batch)
    expected = reference.conv_transpose(*args, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, gradients = value_and_gradients(functional.conv_transpose, cotangent, args, options)
    np.testing.assert_allclose(outputs, expected, atol=1e-12)
    hand = reference.conv_transpose_vjp(cotangent, *args, **options)
    for ours, right in zip(gradients, hand, strict=True):
        np.testing.assert_allclose(ours, right, atol=1e-11)


@pytest.mark.parametrize("case", ["1d", "2d grouped"])
def test_vmap_over_inputs_kernels_and_both(case):
    (inputs, kernel, _), options, rng = arrays(case, transpose_kernel=True)
    fn = jax.jit(functools.partial(functional.conv_transpose, **options))
    many = np.stack([inputs, 2 * inputs, inputs[::-1]]), np.stack([kernel, -kernel, kernel**2])
    for axes in ((0, None), (None, 0), (0, 0)):
        args = [m if axis == 0 else m[0] for m, axis in zip(many, axes, strict=True)]
        got = jax.device_get(jax.vmap(fn, axes)(*args))
        for i in range(3):
            one = [a[i] if axis == 0 else a for a, axis in zip(args, axes, strict=True)]
            expected = reference.conv_transpose(*one, **options)
            np.testing.assert_allclose(got[i], expected, atol=1e-11)


def test_bilinear_second_order(rng):
    inputs, kernel = rng.standard_normal((2, 4, 3, 2)), rng.standard_normal((3, 2, 2, 3))
    dx, dk = rng.standard_normal(inputs.shape), rng.standard_normal(kernel.shape)
    options = dict(strides=2, padding=((1, 0), (0, 1)), padding_mode="reflect")

    def loss(x, k):
        return (functional.conv_transpose(x, k, **options) ** 2).sum() / 2

    gradient = jax.jit(jax.grad(jax.checkpoint(loss), (0, 1)))
    _, (hx, hk) = jax.jvp(gradient, (inputs, kernel), (dx, dk))
    forward, pull = reference.conv_transpose, reference.conv_transpose_vjp
    y = forward(inputs, kernel, **options)
    dy = forward(dx, kernel, **options) + forward(inputs, dk, **options)
    by_y, by_dy = pull(y, dx, dk, **options), pull(dy, inputs, kernel, **options)
    np.testing.assert_allclose(hx, by_y[0] + by_dy[0], atol=1e-10)
    np.testing.assert_allclose(hk, by_y[1] + by_dy[1], atol=1e-10)


def test_inside_a_scan(rng):
    kernel, inputs = rng.standard_normal((4, 4, 3, 2)), rng.standard_normal((3, 1, 4, 3, 3))

    def step(k, x):
        loss = lambda k: (functional.conv_transpose(x, k, strides=2) ** 2).sum()  # noqa: E731
        return k - 1e-3 * jax.grad(loss)(k), None

    scanned, _ = jax.lax.scan(step, jnp.asarray(kernel), jnp.asarray(inputs))
    for x in inputs:
        y = reference.conv_transpose(x, kernel, strides=2)
        kernel = kernel - 2e-3 * reference.conv_transpose_vjp(y, x, kernel, strides=2)[1]
    np.testing.assert_allclose(scanned, kernel, atol=1e-11)


def test_shapes_of_arrays_too_large_to_allocate():
    inputs = jax.ShapeDtypeStruct((2**31, 32, 32, 3), jnp.float32)
    kernel = jax.ShapeDtypeStruct((4, 4, 3, 8), jnp.float32)
    transposed = functools.partial(functional.conv_transpose, strides=2)
    assert jax.eval_shape(transposed, inputs, kernel).shape == (2**31, 64, 64, 8)


X, K = np.ones((4, 5, 6, 6), np.float32), np.ones((3, 3, 6, 4), np.float32)
T = dict(transpose_kernel=True)
BAD = {
    "list": (TypeError, r"conv_transpose: `inputs` must be an array, got list", ([[1.0]], K), {}),
    "rank 0": (ValueError, r"`kernel` must be \(\*kernel_size, in_f", (X, np.ones((6, 4))), {}),
    "rank 0 t": (ValueError, r"`kernel` must be \(\*kernel_size, out", (X, np.ones((6, 4))), T),
    "few axes": (ValueError, r"`inputs` must be .* inputs \(6, 6\)", (X[0, 0], K), {}),
    "channels": (ValueError, r"must have .* = 6 input channels, got 5", (X, K[:, :, :5]), {}),
    "channels t": (
        ValueError,
        r"must have in_features = 6 as its last axis .* got 4; received inputs \(4, 5, 6, 6\)",
        (X, K), T,
    ),
    "groups": (
        ValueError, r"`feature_group_count` \(=4\) must divide `in_features` \(=6\)", (X, K),
        dict(feature_group_count=4),
    ),
    "groups t": (
        ValueError, r"`feature_group_count` \(=4\) must divide `in_features` \(=6\)",
        (X, np.ones((3, 3, 4, 6), np.float32)), dict(feature_group_count=4, **T),
    ),
    "no tap": (ValueError, r"`kernel` must have no empty axis", (X, K[:0]), {}),
    "no pixel": (ValueError, r"`inputs` must have no empty spatial axis", (X[:, :0], K), {}),
    "no output": (
        ValueError, r"`padding` \(=7\) must leave an output, got spatial sizes \(-7, -6\)", (X, K),
        dict(padding=7),
    ),
    "bias": (ValueError, r"conv_transpose: `bias` must be \(4,\)", (X, K, np.ones(3)), {}),
    "stride": (ValueError, r"`strides` \(=0\) must be at least 1", (X, K), dict(strides=0)),
    "dilation": (ValueError, r"`kernel_dilation` \(=2.5\)", (X, K), dict(kernel_dilation=2.5)),
    "output padding": (
        ValueError,
        r"`output_padding` \(=3\) must be below strides \(=2\) or kernel_dilation \(=1\)",
        (X, K), dict(strides=2, output_padding=3),
    ),
    "output padding below 0": (
        ValueError, r"`output_padding` \(=-1\) must be at least 0", (X, K), dict(output_padding=-1)
    ),
    "both": (
        ValueError, r"`output_padding` \(=1\) must be 0 beside `output_shape` \(=10\)", (X, K),
        dict(strides=2, output_padding=1, output_shape=10),
    ),
    "output shape": (
        ValueError, r"`output_shape` \(=\(9, 13\)\) .* to 6 along spatial axis 1: 11, 12; received",
        (X, K), dict(strides=2, padding=1, output_shape=(9, 13)),
    ),
    "output shape same": (
        ValueError, r"`output_shape` \(=\(12, 18\)\) .* to 5 along spatial axis 0: 13, 14, 15;",
        (X, K), dict(strides=3, output_shape=(12, 18)),
    ),
    "output shape type": (
        TypeError, r"`output_shape` \(='9'\) must be an int", (X, K), dict(output_shape="9")
    ),
    "padding name": (ValueError, r"`padding` \(='SAMEISH'\)", (X, K), dict(padding="SAMEISH")),
    "padding none": (TypeError, r"`padding` \(=None\) must be an int", (X, K), dict(padding=None)),
    "causal": (ValueError, r"'CAUSAL'\) needs exactly one", (X, K), dict(padding="CAUSAL")),
    "negative reflect": (
        ValueError, r"must not be negative here", (X, K), dict(padding=-1, padding_mode="reflect")
    ),
    "mode": (ValueError, r"`padding_mode` \(='wrap'\)", (X, K), dict(padding_mode="wrap")),
    "two fills": (
        ValueError, r"must agree with `padding` \(='CIRCULAR'\)", (X, K),
        dict(padding="CIRCULAR", padding_mode="reflect"),
    ),
    "form": (TypeError, r"`transpose_kernel` \(=1\)", (X, K), dict(transpose_kernel=1)),
    "precision": (ValueError, r"`precision` \(='most'\)", (X, K), dict(precision="most")),
    "8 bit": (
        ValueError, r"`preferred_element_type` \(=None\) must be given for int8",
        (X.astype(np.int8), K.astype(np.int8)), {},
    ),
    "algorithm": (ValueError, r"`algorithm` \(='magic'\)", (X, K), dict(algorithm="magic")),
    "phases": (
        ValueError, r"`algorithm` \(='phases'\) needs an input dilation, or strides", (X, K),
        dict(algorithm="phases"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_under_jit_too(case):
    kind, message, args, options = BAD[case]
    with pytest.raises(kind, match=message):
        functional.conv_transpose(*args, **options)
    if all(isinstance(a, np.ndarray) for a in args):
        with pytest.raises(kind, match=message):
            jax.jit(lambda *a: functional.conv_transpose(*a, **options))(*args)
