"""unfold and fold: against the reference, each other and PyTorch; exactness; bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, geometry, reference
from tests.helpers import generator

# name: spatial sizes, window_shape, options
CASES = {
    "1d": ((7,), (3,), dict()),
    "1d causal": ((7,), (3,), dict(padding="CAUSAL", window_dilation=2)),
    "1d apart": ((11,), (2,), dict(strides=4)),
    "2d same": ((6, 5), (3, 2), dict(padding="SAME")),
    "2d same strided": ((7, 6), (3, 4), dict(padding="SAME", strides=(2, 3))),
    "2d same lower": ((7, 6), (2, 4), dict(padding="SAME_LOWER", strides=(1, 2))),
    "2d full": ((4, 5), (3, 2), dict(padding="FULL", window_dilation=(1, 2))),
    "2d int": ((6, 5), (3, 3), dict(padding=2, strides=2)),
    "2d pairs": ((6, 5), (3, 2), dict(padding=((0, 2), (3, 1)), window_dilation=(2, 1))),
    "2d interleaved": ((9, 8), (2, 3), dict(strides=2, window_dilation=(3, 2))),
    "2d unread": ((8, 9), (2, 2), dict(strides=(3, 4), padding=((0, 1), (0, 0)))),
    "2d far padding": ((3, 2), (2, 2), dict(padding=(4, 3), strides=(2, 1))),
    "3d": ((4, 5, 3), (2, 3, 2), dict(strides=(1, 2, 1), padding=(0, 1, 1))),
    "4d": ((3, 4, 2, 3), (2, 2, 1, 2), dict(window_dilation=(1, 2, 1, 1), padding=1)),
    "2d large": ((40, 30), (3, 3), dict(strides=(1, 2), padding="SAME")),
}


def arrays(case: str, batch: tuple[int, ...] = (2,), channels: int = 3):
    sizes, window_shape, options = CASES[case]
    rng = generator(case)
    inputs = rng.standard_normal((*batch, *sizes, channels))
    renamed = {"dilation" if k == "window_dilation" else k: v for k, v in options.items()}
    counts = geometry.windows(sizes, window_shape, **renamed).output_shape
    patches = rng.standard_normal((*batch, *counts, *window_shape, channels))
    return inputs, patches, options


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def both_and_pullbacks(inputs, patches, sizes, window_shape, static):
    options = dict(static)
    out, back = jax.vjp(lambda x: functional.unfold(x, window_shape, **options), inputs)
    image, forth = jax.vjp(lambda p: functional.fold(p, sizes, **options), patches)
    return out, back(patches.astype(out.dtype))[0], image, forth(inputs.astype(image.dtype))[0]


def run(case, inputs, patches):
    sizes, window_shape, options = CASES[case]
    return both_and_pullbacks(inputs, patches, sizes, window_shape, tuple(options.items()))


@pytest.mark.parametrize("case", CASES)
def test_agree_with_the_reference_in_value_and_gradient(case):
    inputs, patches, options = arrays(case)
    sizes, window_shape, _ = CASES[case]
    out, gradient, image, image_gradient = run(case, inputs, patches)
    np.testing.assert_array_equal(out, reference.unfold(inputs, window_shape, **options))
    np.testing.assert_allclose(image, reference.fold(patches, sizes, **options), atol=1e-13)
    (hand,) = reference.unfold_vjp(patches, inputs, window_shape, **options)
    np.testing.assert_allclose(gradient, hand, atol=1e-13)
    (hand,) = reference.fold_vjp(inputs, patches, sizes, **options)
    np.testing.assert_array_equal(image_gradient, hand)
    np.testing.assert_allclose(np.vdot(out, patches), np.vdot(inputs, image), rtol=1e-12)


@pytest.mark.parametrize("case", ["1d causal", "2d interleaved", "3d"])
def test_fold_of_unfold_counts_the_windows_of_each_pixel(case):
    inputs, _, options = arrays(case)
    sizes, window_shape, _ = CASES[case]

    def round_trip(x):
        return functional.fold(functional.unfold(x, window_shape, **options), sizes, **options)

    image, counts = jax.jit(jax.vmap(round_trip))(np.stack([inputs, np.ones_like(inputs)]))
    np.testing.assert_allclose(image, counts * inputs, atol=1e-13)
    assert np.max(counts) > 1


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16, np.float16, np.complex64])
def test_inexact_dtypes(dtype):
    inputs, patches, options = arrays("2d same strided")
    sizes, window_shape, _ = CASES["2d same strided"]
    inputs, patches = inputs.astype(dtype), patches.astype(dtype)
    out, gradient, image, _ = run("2d same strided", inputs, patches)
    assert out.dtype == image.dtype == gradient.dtype == dtype
    wide = np.complex128 if dtype is np.complex64 else np.float64
    x, p = inputs.astype(wide), patches.astype(wide)
    np.testing.assert_array_equal(out, reference.unfold(x, window_shape, **options).astype(dtype))
    # sums of up to 4 numbers of O(1) in float32, or float32 rounded once to 16 bits
    atol = 4 * float(jnp.finfo(dtype).eps)
    expected = reference.fold(p, sizes, **options)
    np.testing.assert_allclose(np.asarray(image).astype(wide), expected, atol=atol)
    np.testing.assert_allclose(np.asarray(gradient).astype(wide), expected, atol=atol)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint16])
def test_integers_come_through_exactly(dtype):
    info = np.iinfo(dtype)
    inputs = np.array([info.min, info.max, 3, info.max - 1, 5], dtype)[:, None]
    out = functional.unfold(inputs, (2,), padding=((1, 0),))
    assert out.dtype == dtype
    padded = [0, *inputs.ravel().tolist()]
    assert np.asarray(out)[..., 0].tolist() == [padded[i : i + 2] for i in range(5)]
    image = functional.fold(np.arange(8, dtype=dtype).reshape(4, 2, 1), (5,))
    assert image.dtype == dtype and np.ravel(image).tolist() == [0, 3, 7, 11, 7]


def test_booleans_are_cut_out_but_not_added():
    inputs = np.array([True, False, True]).reshape(3, 1)
    out = functional.unfold(inputs, (2,), padding=1)
    assert np.asarray(out)[..., 0].tolist() == [
        [False, True],
        [True, False],
        [False, True],
        [True, False],
    ]


def test_what_is_no_number_stays_in_its_window():
    inputs = np.ones((1, 6, 5, 2))
    inputs[0, 3, 2, 1] = np.nan
    inputs[0, 0, 0, 0] = np.inf
    out = np.array(functional.unfold(inputs, (3, 2), padding="SAME"))
    expected = reference.unfold(inputs, (3, 2), padding="SAME")
    np.testing.assert_array_equal(out, expected)
    assert np.isnan(out).sum() == 6
    out[0, 0, 0, 0, 0] = np.nan
    image = np.asarray(functional.fold(out, (6, 5), padding="SAME"))
    rows, columns, channels = np.nonzero(np.isnan(image[0]))
    assert set(zip(rows.tolist(), columns.tolist(), channels.tolist(), strict=True)) == {(3, 2, 1)}
    assert np.isinf(image[0, 0, 0, 0]) and np.isfinite(image).sum() == image.size - 2


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float16])
def test_sums_of_16_bit_floats_run_in_32(dtype):
    size = 24  # taps, each of which reaches the middle pixel once
    patches = np.full((size, size, 1), 2.0**-9, dtype)
    patches[0] = 1
    expected = np.asarray(1 + (size - 1) / 512, dtype)
    assert expected != 1  # where a 16-bit sum would stay if it began with the 1

    @jax.jit
    def run(inputs, patches):
        _, pullback = jax.vjp(lambda x: functional.unfold(x, (size,)), inputs)
        return functional.fold(patches, (2 * size - 1,)), pullback(patches)[0]

    image, gradient = map(np.asarray, run(np.zeros((2 * size - 1, 1), dtype), patches))
    assert image.dtype == dtype and image[size - 1, 0] == expected
    assert gradient.dtype == dtype
    np.testing.assert_array_equal(gradient, image)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,), (2, 0)])
def test_any_number_of_batch_axes(batch):
    inputs, patches, options = arrays("1d causal", batch)
    sizes, window_shape, _ = CASES["1d causal"]
    out, gradient, image, _ = run("1d causal", inputs, patches)
    np.testing.assert_array_equal(out, reference.unfold(inputs, window_shape, **options))
    np.testing.assert_allclose(image, reference.fold(patches, sizes, **options), atol=1e-13)
    assert gradient.shape == inputs.shape


@pytest.mark.parametrize(
    "options",
    [
        dict(stride=1),
        dict(stride=(2, 3), padding=(1, 2)),
        dict(stride=(1, 2), padding=2, dilation=(2, 1)),
    ],
)
def test_are_torch_s_up_to_the_order_of_axes(options, rng):
    torch = pytest.importorskip("torch")
    inputs = rng.standard_normal((2, 7, 9, 3))
    ours = dict(
        strides=options["stride"],
        padding=options.get("padding", 0),
        window_dilation=options.get("dilation", 1),
    )
    out = functional.unfold(inputs, (3, 2), **ours)
    columns = torch.nn.functional.unfold(
        torch.from_numpy(inputs.transpose(0, 3, 1, 2)), (3, 2), **options
    )
    by_torch = columns.numpy().reshape(2, 3, 3, 2, *out.shape[1:3]).transpose(0, 4, 5, 2, 3, 1)
    np.testing.assert_array_equal(out, by_torch)
    patches = rng.standard_normal(columns.shape)
    image = torch.nn.functional.fold(torch.from_numpy(patches), (7, 9), (3, 2), **options)
    in_order = patches.reshape(2, 3, 3, 2, *out.shape[1:3]).transpose(0, 4, 5, 2, 3, 1)
    ours_image = functional.fold(in_order, (7, 9), **ours)
    np.testing.assert_allclose(ours_image, image.numpy().transpose(0, 2, 3, 1), atol=1e-13)


def test_transformations(rng):
    inputs = rng.standard_normal((4, 6, 5, 2))
    unfold = functools.partial(functional.unfold, window_shape=(3, 2), strides=2, padding="SAME")
    fold = functools.partial(functional.fold, output_shape=(6, 5), strides=2, padding="SAME")
    tangent = rng.standard_normal(inputs.shape)
    energy = jax.checkpoint(lambda x: (unfold(x) ** 3).sum() / 6)

    @jax.jit
    def run(inputs, tangent):
        out, moved = jax.jvp(unfold, (inputs,), (tangent,))
        same = jax.vmap(unfold)(inputs), jax.lax.map(unfold, inputs)
        within = jax.vmap(unfold, 3, 3)(inputs[..., None, :])
        _, hvp = jax.jvp(jax.grad(energy), (inputs,), (tangent,))
        return out, moved, same, within, jax.vmap(fold)(out), hvp

    out, moved, same, within, image, hvp = run(inputs, tangent)
    options = dict(strides=2, padding="SAME")
    expected, along = (reference.unfold(x, (3, 2), **options) for x in (inputs, tangent))
    for found in (out, *same, np.asarray(within)[:, :, :, 0]):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(moved, along)
    np.testing.assert_allclose(image, reference.fold(expected, (6, 5), **options), atol=1e-14)
    right = reference.fold(expected * along, (6, 5), **options)
    np.testing.assert_allclose(hvp, right, atol=1e-12)


X, P = np.ones((2, 7, 6, 3), np.float32), np.ones((2, 5, 5, 3, 2, 3), np.float32)
BAD_UNFOLD = {
    "list": (TypeError, r"unfold: `inputs` must be an array, got list", [[1.0]], (1,), {}),
    "int window": (
        TypeError,
        r"unfold: `window_shape` \(=3\) must be a tuple .* write \(3, 3\)",
        X,
        3,
        {},
    ),
    "no window": (ValueError, r"`window_shape` \(=\(\)\) must name at least one", X, (), {}),
    "window 0": (ValueError, r"unfold: `window_shape` \(=0\) must be at least 1", X, (3, 0), {}),
    "window 1.5": (ValueError, r"`window_shape` \(=1.5\) must be a whole number", X, (3, 1.5), {}),
    "few axes": (ValueError, r"`inputs` must be .* inputs \(6, 3\)", X[0, 0], (3, 3), {}),
    "no pixel": (ValueError, r"no empty spatial axis", X[:, :0], (3, 3), {}),
    "no channel": (ValueError, r"at least one channel", X[..., :0], (3, 3), {}),
    "too large": (
        ValueError,
        r"unfold: `window_shape` \(=\(3, 3\)\) spans 7 pixels along spatial axis 1, more",
        X,
        (3, 3),
        dict(window_dilation=3),
    ),
    "stride": (ValueError, r"unfold: `strides` \(=0\)", X, (3, 3), dict(strides=0)),
    "dilation": (
        TypeError,
        r"unfold: `window_dilation` \(='2'\)",
        X,
        (3, 3),
        dict(window_dilation="2"),
    ),
    "crop": (ValueError, r"unfold: .* must not be negative here", X, (3, 3), dict(padding=-1)),
    "fill": (ValueError, r"`padding` \(='CIRCULAR'\)", X, (3, 3), dict(padding="CIRCULAR")),
}
BAD_FOLD = {
    "list": (TypeError, r"fold: `patches` must be an array, got list", [[1.0]], (1,), {}),
    "bool": (TypeError, r"fold: `patches` must hold numbers, got bool", P > 0, (7, 6), {}),
    "int shape": (TypeError, r"fold: `output_shape` \(=7\) must be a tuple", P, 7, {}),
    "few axes": (
        ValueError,
        r"fold: `patches` must be \(\*batch, \*out, .* received patches \(3, 2, 3\)",
        P[0, 0, 0],
        (7, 6),
        {},
    ),
    "count": (
        ValueError,
        r"fold: `patches` must hold \(6, 5\) windows, .* `output_shape` \(=\(8, 6\)\) .* "
        r"received \(5, 5\), patches \(2, 5, 5, 3, 2, 3\)",
        P,
        (8, 6),
        {},
    ),
    "empty": (ValueError, r"fold: `patches` must have no empty axis", P[:, :0], (7, 6), {}),
    "too large": (ValueError, r"fold: `patches` \(=\(3, 2\)\) spans 3", P, (2, 6), {}),
    "crop": (ValueError, r"fold: .* must not be negative here", P, (7, 6), dict(padding=-1)),
}


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("case", BAD_UNFOLD)
def test_unfold_refuses(case, jitted):
    error, message, inputs, window_shape, options = BAD_UNFOLD[case]
    fn = functools.partial(functional.unfold, window_shape=window_shape, **options)
    with pytest.raises(error, match=message):
        if jitted and isinstance(inputs, np.ndarray):
            jax.eval_shape(fn, inputs)
        else:
            fn(inputs)


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("case", BAD_FOLD)
def test_fold_refuses(case, jitted):
    error, message, patches, output_shape, options = BAD_FOLD[case]
    fn = functools.partial(functional.fold, output_shape=output_shape, **options)
    with pytest.raises(error, match=message):
        if jitted and isinstance(patches, np.ndarray):
            jax.eval_shape(fn, patches)
        else:
            fn(patches)
