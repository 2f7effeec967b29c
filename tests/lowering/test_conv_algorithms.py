"""Every algorithm on every case that it takes: the values and gradients of the reference."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, geometry, reference
from jaxcnn.lowering import choose
from jaxcnn.lowering.problem import ConvProblem
from jaxcnn.testing import as_on

# name: spatial sizes, in, out, kernel size, groups, options of geometry.windows
CASES = {
    "1d": ((11,), 3, 4, (3,), 1, dict(strides=2, padding=((1, 2),))),
    "1d grouped": ((9,), 4, 6, (2,), 2, dict(dilation=3, padding="FULL")),
    "2d": ((6, 5), 2, 3, (3, 2), 1, dict()),
    "2d strided": ((9, 10), 2, 3, (3, 2), 1, dict(strides=(2, 3), padding=(1, 2))),
    "2d strided, unread": ((11, 9), 2, 3, (2, 1), 1, dict(strides=(4, 3))),
    "2d dilated": ((9, 8), 2, 3, (3, 2), 1, dict(dilation=(2, 3), padding="SAME")),
    "2d mixed": ((9, 12), 2, 3, (3, 4), 1, dict(strides=(2, 3), dilation=(3, 1), padding=2)),
    "2d mixed, by turns": ((9, 8), 2, 3, (3, 2), 1, dict(strides=(1, 2), dilation=(2, 1))),
    "2d cropped": ((9, 8), 2, 3, (3, 3), 1, dict(padding=((-2, 1), (0, -1)), strides=2)),
    "2d input dilated": ((4, 5), 2, 3, (3, 4), 1, dict(input_dilation=(2, 3), padding=2)),
    # as `lhs_dilation` these two abort XLA's CPU compiler
    "2d one column": ((3, 1), 1, 2, (2, 2), 1, dict(input_dilation=2, padding=((0, 0), (2, 2)))),
    "2d kernel larger": (
        (2, 2),
        2,
        1,
        (3, 3),
        1,
        dict(input_dilation=(3, 1), strides=2, padding=((0, 0), (0, 2))),
    ),
    "grouped, input dilated": (
        (4, 3),
        4,
        6,
        (4, 2),
        2,
        dict(input_dilation=(2, 3), padding=((4, 3), (-1, 2)), dilation=(1, 2)),
    ),
    "1d dilated by 4": ((16,), 3, 4, (3,), 1, dict(dilation=4, padding=(4,))),
    "2d dilated by 4": ((8, 9), 4, 6, (2, 3), 2, dict(dilation=(4, 3), padding=((0, 4), 3))),
    "1x1": ((6, 5), 3, 4, (1, 1), 1, dict()),
    "1x1 strided, padded": ((6, 5), 3, 4, (1, 1), 1, dict(strides=3, padding=((1, 0), (2, 1)))),
    "1x1 input dilated": ((3, 4), 3, 4, (1, 1), 1, dict(input_dilation=2, padding=((-1, 1), 0))),
    "grouped": ((6, 5), 6, 9, (3, 2), 3, dict(strides=(1, 2))),
    "many groups": ((5, 4), 48, 48, (2, 3), 12, dict(padding=1)),
    "depthwise": ((6, 5), 4, 8, (3, 2), 4, dict(strides=2, padding="SAME", dilation=(1, 2))),
    "1d depthwise, 41 taps": ((50,), 2, 4, (41,), 2, dict(padding=9, strides=2)),
    "depthwise, 8x7": ((11, 8), 3, 3, (8, 7), 3, dict(padding=3, strides=(2, 1))),
    "groups of 3, 5x4": ((7, 8), 6, 4, (5, 4), 2, dict(dilation=(1, 2), strides=(1, 3), padding=2)),
    "3d": ((4, 5, 6), 2, 3, (2, 3, 2), 1, dict(strides=(1, 2, 1), padding=((1, 0), 1, 0))),
    "3d dilated": ((6, 4, 5), 2, 3, (3, 2, 2), 1, dict(dilation=(2, 1, 2), strides=(2, 1, 1))),
    "4d": ((3, 2, 3, 4), 2, 3, (2, 2, 1, 2), 1, dict(padding=(1, 0, 1, 0))),
    "2d strided, 17 channels": ((7, 9), 17, 2, (3, 4), 1, dict(strides=(2, 3), padding=1)),
    "2d strided along one axis": ((7, 6), 2, 3, (5, 2), 1, dict(strides=(1, 2), padding=(2, 0))),
    "2d many images": ((12, 13), 2, 3, (3, 2), 1, dict(dilation=(1, 2))),
    "1d many images": ((150,), 3, 2, (3,), 1, dict(strides=1, padding=2)),
    "2d large": ((20, 24), 8, 16, (3, 3), 1, dict(strides=(2, 1), padding="SAME")),
}
# What XLA's own form is run on: it takes all, and hands each option on as it is.
DIRECT = ("1d", "2d mixed", "2d cropped", "2d input dilated", "2d one column", "2d kernel larger")
DIRECT += ("1x1 strided, padded", "grouped", "depthwise", "3d dilated", "4d", "2d large")
IMAGES = {"2d many images": 24, "1d many images": 16}  # all others have 3


def problem_and_arrays(case: str, dtype=np.float64):
    sizes, in_features, out_features, kernel_size, groups, options = CASES[case]
    rng, n = np.random.default_rng(len(case)), IMAGES.get(case, 3)
    windows = geometry.windows(sizes, kernel_size, crop=True, **options)
    inputs = rng.standard_normal((n, *sizes, in_features)).astype(dtype)
    kernel = rng.standard_normal((*kernel_size, in_features // groups, out_features)).astype(dtype)
    cotangent = rng.standard_normal((n, *windows.output_shape, out_features)).astype(dtype)
    return ConvProblem(windows, groups), *jax.device_put((inputs, kernel, cotangent))


def supported(case: str) -> list[str]:
    problem, inputs, kernel, _ = problem_and_arrays(case)
    return [
        name
        for name, algorithm in choose.CONV_ALGORITHMS.items()
        if (name != "direct" or case in DIRECT)
        and algorithm.unsupported(inputs, kernel, problem) is None
    ]


@functools.partial(jax.jit, static_argnames=("problem", "algorithm", "in_full"))
def compute(inputs, kernel, cotangent, problem, algorithm, in_full):
    """Value and gradient; in full also how both move along the arguments, and values by vmap."""

    def fn(x, k):
        return choose.conv(x, k, problem, algorithm)

    def value_and_gradient(x, k):
        outputs, pullback = jax.vjp(fn, x, k)
        return outputs, pullback(cotangent + outputs)

    if not in_full:
        return value_and_gradient(inputs, kernel), None
    tangents = jnp.sin(inputs), jnp.cos(kernel)
    batches = jnp.stack([inputs, -inputs]), jnp.stack([kernel, 2 * kernel])
    found, moved = jax.jvp(value_and_gradient, (inputs, kernel), tangents)
    return found, (moved, jax.vmap(fn)(*batches))


@functools.cache
def by_hand(case: str):
    """What `compute` is to give in full: the convolution is linear in each of its arguments."""
    problem, *arrays = problem_and_arrays(case)
    (x, k, cotangent), windows = map(np.asarray, arrays), problem.windows
    options = dict(
        strides=windows.strides, padding=windows.padding, input_dilation=windows.input_dilation,
        kernel_dilation=windows.dilation, feature_group_count=problem.feature_group_count,
    )  # fmt: skip
    conv = functools.partial(reference.conv, **options)
    vjp = functools.partial(reference.conv_vjp, **options)
    dx, dk = np.sin(x), np.cos(k)
    y, dy = conv(x, k), conv(dx, k) + conv(x, dk)
    c = cotangent + y
    moved = vjp(dy, x, k)[0] + vjp(c, x, dk)[0], vjp(dy, x, k)[1] + vjp(c, dx, k)[1]
    return (y, vjp(c, x, k)[:2]), ((dy, moved), np.stack([y, -2 * y]))


PAIRS = [(case, name) for case in CASES for name in supported(case)]
FIRST = {name: case for case, name in reversed(PAIRS)}  # algorithm -> the first case that it takes


@functools.cache
def computed(case: str, algorithm: str):
    problem, *arrays = problem_and_arrays(case)
    return compute(*arrays, problem, algorithm, in_full=case == FIRST[algorithm])


def same(found, expected):
    for ours, right in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, right, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case, algorithm", PAIRS)
def test_agrees_with_the_reference(case, algorithm):
    same(computed(case, algorithm)[0], by_hand(case)[0])


@pytest.mark.parametrize("algorithm", FIRST)
def test_second_derivatives_and_vmap_agree_with_the_reference(algorithm):
    case = FIRST[algorithm]
    same(computed(case, algorithm)[1], by_hand(case)[1])


def test_every_algorithm_is_tested():
    assert {name for _, name in PAIRS} == set(choose.CONV_ALGORITHMS)


@pytest.mark.parametrize(
    "case, dtype",
    [
        ("2d strided", jnp.bfloat16),
        ("2d strided", np.complex64),
        ("1x1 strided, padded", np.float16),
        ("1x1 strided, padded", np.complex64),
        ("many groups", np.float16),
        ("many groups", np.float32),
        ("3d", jnp.bfloat16),
        ("3d", np.float32),
    ],
)
def test_dtypes_come_out_as_they_went_in(case, dtype):
    problem, inputs, kernel, cotangent = problem_and_arrays(case)
    (expected, _), _ = by_hand(case)

    @jax.jit
    def run(cotangent, *arrays):
        outputs, pull = jax.vjp(lambda x, k: choose.conv(x, k, problem, "auto"), *arrays)
        return outputs, pull(cotangent)

    outputs, gradients = run(*(np.asarray(a, dtype) for a in (cotangent, inputs, kernel)))
    assert [outputs.dtype, *(g.dtype for g in gradients)] == [dtype] * 3
    # inputs, kernel and some partial sums are each rounded to the dtype
    tolerance = 16 * float(jnp.finfo(dtype).eps) * np.abs(expected).max()
    np.testing.assert_allclose(np.asarray(outputs, complex), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("case", ["2d strided", "1d", "grouped", "3d", "1x1"])
def test_gradient_under_scan_and_checkpoint(case):
    problem, inputs, kernel, _ = problem_and_arrays(case)

    def loss(k):
        return (choose.conv(inputs, k, problem, "auto") ** 2).sum()

    def step(k, _):
        return k - 1e-3 * jax.grad(jax.checkpoint(loss))(k), None

    @jax.jit
    def run():
        expected = kernel
        for _ in range(2):
            expected = expected - 1e-3 * jax.grad(loss)(expected)
        return jax.lax.scan(step, kernel, None, length=2)[0], expected

    scanned, expected = run()
    np.testing.assert_allclose(scanned, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "case, algorithm",
    [
        ("2d input dilated", "adjoint"),
        ("depthwise", "slices"),
        ("depthwise", "repeat"),
        ("2d dilated", "spread"),
        ("1d dilated by 4", "fold"),
    ],
)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float32])
def test_what_accelerators_run_in_other_dtypes(case, algorithm, dtype):
    problem, *arrays = problem_and_arrays(case)
    found, _ = compute(*(a.astype(dtype) for a in arrays), problem, algorithm, in_full=False)
    for ours, right in zip(jax.tree.leaves(found), jax.tree.leaves(by_hand(case)[0]), strict=True):
        assert ours.dtype == dtype
        tolerance = 32 * float(jnp.finfo(dtype).eps) * np.abs(right).max()
        np.testing.assert_allclose(np.asarray(ours, float), right, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "case, algorithm",
    [
        ("2d dilated", "spread"),
        ("2d dilated by 4", "spread"),
        ("2d mixed", "spread"),
        ("2d input dilated", "adjoint"),
        ("depthwise", "slices"),
    ],
)
def test_a_cotangent_without_a_number_reaches_the_pixels_of_its_windows_alone(case, algorithm):
    problem, inputs, kernel, cotangent = problem_and_arrays(case)
    seen = jax.vjp(lambda x: choose.conv(x, jnp.ones_like(kernel), problem, "direct"), inputs)[1]
    (pixels,) = seen(jnp.zeros_like(cotangent).at[0, 1].set(1))
    _, pull = jax.vjp(lambda x: choose.conv(x, kernel, problem, algorithm), inputs)
    (gradient,) = pull(cotangent.at[0, 1].set(jnp.nan))
    np.testing.assert_array_equal(np.isnan(gradient), pixels != 0)


REFUSED = {
    "canonical": ("3d", "takes one or two spatial axes, not 3"),
    "matmul": ("2d", r"takes kernels of one tap, not \(3, 2\)"),
    "groups": ("2d", "takes two groups of channels or more, not 1"),
    "taps": ("2d", "takes two groups of channels or more, or one channel"),
    "blocks": ("2d", "takes two groups of channels or more, not 1"),
    "planes": ("2d", "takes three spatial axes or more, not 2"),
    "shift": ("2d", "needs a group for each input channel"),
    "slices": ("2d", "needs a group for each input channel"),
    "repeat": ("depthwise, 8x7", "needs several channels with two features each or more"),
    "adjoint": ("2d", "needs an input dilation"),
    "spread": ("2d", "needs a kernel dilation above 1"),
    "fold": ("1d", "needs a kernel dilation above 1"),
}


@pytest.mark.parametrize("algorithm", REFUSED)
def test_an_algorithm_that_cannot_says_why(algorithm):
    case, reason = REFUSED[algorithm]
    problem, inputs, kernel, _ = problem_and_arrays(case)
    with pytest.raises(ValueError, match=rf"`algorithm` \(='{algorithm}'\) {reason}"):
        choose.conv(inputs, kernel, problem, algorithm)


def test_many_images_are_taken_block_by_block_for_the_kernels_gradient():
    problem, inputs, kernel, cotangent = problem_and_arrays("2d many images")

    def loss(k):
        return (choose.conv(inputs, k, problem, "canonical") * cotangent).sum()

    jaxpr = jax.make_jaxpr(jax.grad(loss))(kernel)
    assert re.findall(r"\blength=(\d+)", str(jaxpr)) == ["2"]  # 12 images of 110 pixels


def test_only_what_is_asked_for_is_computed():
    """The gradient for the kernel alone holds two convolutions: forward, and its own."""
    problem, inputs, kernel, cotangent = problem_and_arrays("2d large")

    def loss(k):
        return (choose.conv(inputs, k, problem, "canonical") * cotangent).sum()

    text = jax.jit(jax.value_and_grad(loss)).lower(kernel).as_text()
    assert text.count("stablehlo.convolution") == 2


@pytest.mark.parametrize("sizes", [(1, 1), (7, 8), (1, 8)])
def test_public_name_reaches_every_algorithm(sizes):
    inputs, kernel = np.ones((2, *sizes, 4)), np.ones((1, 1, 4, 8))
    plain = functional.conv(inputs, kernel, algorithm="direct")
    for name in ("matmul", "canonical", "auto"):
        np.testing.assert_allclose(functional.conv(inputs, kernel, algorithm=name), plain)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
@pytest.mark.parametrize(
    "options",
    [{"input_dilation": 2}, {"kernel_dilation": 2}, {"feature_group_count": 4}, {"strides": 2}],
    ids=str,
)
def test_single_precision_is_summed_in_double_where_that_is_asked_for(platform, options, rng):
    """NumPy's float64 equals None, and is not what the inputs have."""
    groups = options.get("feature_group_count", 1)
    images, kernel = rng.normal(size=(2, 7, 6, 4)), rng.normal(size=(3, 3, 4 // groups, 8))
    images, kernel = images.astype(np.float32), kernel.astype(np.float32)
    wide = [array.astype(np.float64) for array in (images, kernel)]
    with as_on(platform):
        single = functional.conv(images, kernel, **options)  # another program
        conv = functools.partial(functional.conv, preferred_element_type=np.float64, **options)
        found, pull = jax.vjp(conv, images, kernel)
        gradients = pull(jnp.ones_like(found))
    expected, pull = jax.vjp(
        functools.partial(functional.conv, algorithm="direct", **options), *wide
    )
    assert (single.dtype, found.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    for got, want in zip(gradients, pull(jnp.ones_like(expected)), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
