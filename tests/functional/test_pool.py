"""max, min, average and sum pools: against the reference, Flax and PyTorch; dtypes; bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from jaxcnn import functional, reference
from jaxcnn.testing import check_gradients, check_transforms

# name: spatial sizes, window_shape, options that all four take
CASES = {
    "1d": ((9,), (3,), dict()),
    "1d causal": ((8,), (3,), dict(padding="CAUSAL", window_dilation=2)),
    "2d tiles": ((8, 6), (2, 3), dict(strides=(2, 3))),
    "2d tiles with a rest": ((7, 8), (2, 3), dict(strides=(2, 3))),
    "2d tiles same": ((7, 8), (2, 3), dict(strides=(2, 3), padding="SAME")),
    "2d tiles ceil": ((7, 8), (2, 3), dict(strides=(2, 3), ceil_mode=True)),
    "2d same lower": ((7, 6), (3, 4), dict(padding="SAME_LOWER", strides=(2, 1))),
    "2d full": ((4, 5), (3, 2), dict(padding="FULL", strides=(1, 1))),
    "2d overlapping": ((9, 7), (3, 2), dict(strides=2, padding=1)),
    "2d ints": ((6, 7), (3, 4), dict(padding=(0, 3))),
    "2d pairs, dilated": ((6, 7), (3, 2), dict(padding=((1, 2), (0, 1)), window_dilation=(1, 3))),
    "2d apart": ((9, 8), (2, 1), dict(strides=(4, 3))),
    "2d interleaved": ((9, 9), (2, 3), dict(strides=2, window_dilation=(3, 2))),
    "2d ceil": ((6, 6), (3, 2), dict(strides=2, padding=1, ceil_mode=True)),
    "2d ceil, dilated": (
        (8, 7),
        (2, 2),
        dict(strides=3, padding=((0, 1), (2, 0)), window_dilation=2, ceil_mode=True),
    ),
    "2d zeros": ((5, 6), (3, 2), dict(padding=2, padding_mode="zeros", strides=2)),
    "2d reflect": ((5, 6), (3, 2), dict(padding=((2, 1), (0, 3)), padding_mode="reflect")),
    "2d replicate": ((4, 5), (2, 3), dict(padding=5, padding_mode="replicate", strides=3)),
    "2d circular ceil": (
        (6, 5),
        (3, 2),
        dict(padding="SAME", padding_mode="circular", strides=2, ceil_mode=True),
    ),
    "3d": ((4, 5, 3), (1, 3, 2), dict(strides=(1, 2, 1), padding=(0, 1, 1))),
    "4d": ((3, 4, 2, 3), (2, 2, 1, 1), dict(window_dilation=(1, 2, 1, 1), strides=(2, 1, 1, 1))),
    "2d long": ((20, 7), (18, 2), dict(strides=(1, 2), padding=((9, 3), (0, 1)))),
    "1d long, dilated": ((61,), (20,), dict(window_dilation=3, strides=2, padding="SAME")),
    "2d large": ((40, 36), (3, 2), dict(strides=2, padding="SAME")),
}
NAMES = ("max_pool", "min_pool", "avg_pool", "sum_pool")
ALGORITHMS = ("auto", "window", "shift", "tree", "at_once", "native")
EXTREMES = ("max_pool", "min_pool")
FEW = ("1d causal", "2d tiles with a rest", "2d apart", "2d interleaved", "2d ceil, dilated")
FEW += ("2d circular ceil", "2d large")


def case_inputs(case: str, batch: tuple[int, ...] = (2,), dtype=np.float64):
    sizes, window_shape, options = CASES[case]
    rng = np.random.default_rng(sum(map(ord, case)))
    # A permutation has no ties, also in 16 bits where it is short enough.
    count = int(np.prod((*batch, *sizes, 3)))
    inputs = (rng.permutation(count) - count // 2).reshape((*batch, *sizes, 3)) / 64
    return inputs.astype(dtype), window_shape, options, rng


@functools.partial(jax.jit, static_argnames=("names", "window_shape", "static"))
def compiled(inputs, cotangent, names, window_shape, static):
    def run(name):
        pool = getattr(functional, name)
        outputs, pullback = jax.vjp(lambda x: pool(x, window_shape, **dict(static)), inputs)
        return outputs, pullback(cotangent.astype(outputs.dtype))[0]

    return {name: run(name) for name in names}


def compute(inputs, cotangent, window_shape, options, names=NAMES):
    return compiled(inputs, cotangent, names, window_shape, tuple(options.items()))


def expected(name, inputs, cotangent, window_shape, options):
    outputs = getattr(reference, name)(inputs, window_shape, **options)
    (gradient,) = getattr(reference, f"{name}_vjp")(cotangent, inputs, window_shape, **options)
    return outputs, gradient


@functools.cache
def case_cotangent(case):
    inputs, window_shape, options, rng = case_inputs(case)
    return rng.standard_normal(reference.sum_pool(inputs, window_shape, **options).shape)


@functools.cache
def case_expected(case, name):
    inputs, window_shape, options, _ = case_inputs(case)
    return expected(name, inputs, case_cotangent(case), window_shape, options)


def agree(case, names, **more):
    inputs, window_shape, options, _ = case_inputs(case)
    results = compute(inputs, case_cotangent(case), window_shape, options | more, names)
    for name in names:
        outputs, gradient = case_expected(case, name)
        np.testing.assert_allclose(results[name][0], outputs, rtol=1e-12, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(results[name][1], gradient, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_agree_with_the_reference_in_value_and_gradient(case):
    agree(case, NAMES)


@pytest.mark.parametrize(
    "algorithm, names",
    [("window", NAMES), ("shift", EXTREMES), ("tree", EXTREMES), ("at_once", EXTREMES)],
)
@pytest.mark.parametrize("case", FEW)
def test_every_algorithm_agrees_with_the_reference(case, algorithm, names):
    agree(case, names, algorithm=algorithm)


@pytest.mark.parametrize("case", ["2d tiles with a rest", "2d apart", "2d ceil", "3d", "2d long"])
def test_built_in_maxima_agree_with_the_reference(case):
    agree(case, EXTREMES, algorithm="native")


def test_sums_in_stages_agree_with_the_reference():
    agree("2d long", ("avg_pool", "sum_pool"), algorithm="stages")


@pytest.mark.parametrize("case", ["2d tiles with a rest", "2d apart"])
def test_sums_of_tiles_by_slices_agree_with_the_reference(case):
    """Which "auto" takes for all sums but those of windows that share no pixel."""
    agree(case, ("avg_pool", "sum_pool"), algorithm="shift")


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float32])
@pytest.mark.parametrize("case", ["2d tiles same", "2d overlapping", "2d reflect"])
def test_narrow_floats_keep_their_dtype(case, dtype):
    inputs, window_shape, options, rng = case_inputs(case, dtype=dtype)
    inputs = np.asarray(inputs, np.float64)
    cotangent = rng.standard_normal(reference.sum_pool(inputs, window_shape, **options).shape)
    cotangent = np.asarray(cotangent.astype(dtype), np.float64)
    names = ("max_pool", "avg_pool")
    results = compute(inputs.astype(dtype), cotangent, window_shape, options, names)
    # Sums run in float32, so that what is lost is the rounding of the result, half a unit of
    # eps; filled padding is summed up in the narrow dtype once more.
    rtol = 3 * float(jnp.finfo(dtype).eps)
    for name in names:
        outputs, gradient = expected(name, inputs, cotangent, window_shape, options)
        assert results[name][0].dtype == results[name][1].dtype == dtype
        np.testing.assert_allclose(
            np.asarray(results[name][0], np.float64), outputs, rtol=rtol, atol=rtol, err_msg=name
        )
        np.testing.assert_allclose(
            np.asarray(results[name][1], np.float64), gradient, rtol=rtol, atol=rtol, err_msg=name
        )


@pytest.mark.parametrize("batch", [(), (2, 3), (0,), (2, 0)])
def test_any_number_of_batch_axes(batch):
    inputs, window_shape, options, rng = case_inputs("2d overlapping", batch)
    shape = (*batch, 5, 4, 3)
    cotangent = rng.standard_normal(shape)
    results = compute(inputs, cotangent, window_shape, options)
    for name in NAMES:
        outputs, gradient = expected(name, inputs, cotangent, window_shape, options)
        assert results[name][0].shape == shape
        np.testing.assert_allclose(results[name][0], outputs, rtol=1e-12)
        np.testing.assert_allclose(results[name][1], gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "name, algorithm",
    [
        ("max_pool", "shift"),
        ("max_pool", "tree"),
        ("max_pool", "at_once"),
        ("avg_pool", "shift"),
    ],
)
def test_first_and_second_derivatives_under_every_transformation(name, algorithm):
    inputs, window_shape, options, _ = case_inputs("2d ceil, dilated", (1,))
    pool = getattr(functional, name)
    hand = getattr(reference, f"{name}_vjp")

    # The square gives it a second derivative, taken forward over reverse and reverse over reverse.
    def squared(x):
        return pool(x, window_shape, **options, algorithm=algorithm) ** 2

    def squared_vjp(cotangent, x):
        outputs = getattr(reference, name)(x, window_shape, **options)
        return hand(2 * outputs * cotangent, x, window_shape, **options)

    check_gradients(squared, (inputs,), vjp=squared_vjp, order=2, full_limit=8, directions=1)
    check_transforms(squared, (inputs,))


def test_average_and_sum_take_complex_numbers():
    inputs, window_shape, options, rng = case_inputs("2d ceil")
    inputs = inputs + 1j * np.roll(inputs, 1)
    for name in ("avg_pool", "sum_pool"):
        ours = getattr(functional, name)(inputs, window_shape, **options)
        np.testing.assert_allclose(ours, getattr(reference, name)(inputs, window_shape, **options))


FLAX_CASES = [
    ((2, 7, 6, 3), ((2, 2),)),
    ((2, 7, 6, 3), ((3, 2), (2, 1), "SAME")),
    ((2, 7, 6, 3), ((3, 2), (1, 2), ((1, 0), (0, 1)))),
    ((2, 7, 6, 3), ((3, 2), None, [(2, 2), [1, 1]])),
    ((7, 6, 3), ((2, 3), (2, 2), "VALID")),
    ((3, 9, 2), ((4,), (2,), "SAME")),
    ((2, 4, 5, 3, 2), ((2, 2, 2), (1, 2, 1), "SAME")),
]


@pytest.mark.parametrize("shape, args", FLAX_CASES, ids=str)
def test_drop_in_for_flax(rng, shape, args):
    window_shape, strides, padding = (*args, None, "VALID")[:3] if len(args) == 1 else args

    @jax.jit
    def run(inputs):
        def both(name, *args):
            return getattr(functional, name)(inputs, *args), getattr(nnx, name)(inputs, *args)

        averages = ("avg_pool", window_shape, strides, padding)
        return (
            [both("max_pool", *args), both("min_pool", *args)],
            [both(*averages, True), both(*averages, False)],
        )

    with jax.numpy_dtype_promotion("standard"):
        extremes, averages = run(rng.standard_normal(shape))
    for ours, flax in extremes:
        np.testing.assert_array_equal(ours, flax)
        assert ours.dtype == flax.dtype
    for ours, flax in averages:
        # The order of adding up is free: a few units of float32's last place.
        np.testing.assert_allclose(ours, flax, rtol=1e-5, atol=1e-6)
        assert ours.dtype == flax.dtype


@pytest.mark.parametrize("dtype", [np.int8, np.uint32])
def test_integers_keep_their_dtype_and_average_as_flax_does(rng, dtype):
    limits = np.iinfo(dtype)
    inputs = rng.integers(limits.min, 100, (2, 5, 6, 3), dtype=dtype, endpoint=True)
    args = ((2, 3), (2, 2), "SAME")
    lowest = np.full((1, 2, 1), limits.min, dtype)
    highest = np.full((1, 2, 1), limits.max, dtype)

    @jax.jit
    def run(inputs):
        extremes = {  # values alone: with a gradient, every algorithm takes them from the winners
            name: [getattr(functional, name)(inputs, *args, algorithm=a) for a in ALGORITHMS]
            for name in ("max_pool", "min_pool")
        }
        averages, sums = functional.avg_pool(inputs, *args), functional.sum_pool(inputs, *args)
        of_lowest = functional.max_pool(lowest, (3,), padding=1)
        of_highest = functional.min_pool(highest, (3,), padding=1)
        return extremes, averages, sums, of_lowest, of_highest

    extremes, averages, sums, of_lowest, of_highest = jax.device_get(run(inputs))
    for name, results in extremes.items():
        for ours in results:
            assert ours.dtype == dtype
            np.testing.assert_array_equal(ours, getattr(reference, name)(inputs, *args))
    assert of_lowest.min() == limits.min and of_highest.max() == limits.max
    small = (inputs % 7).astype(dtype)
    with jax.numpy_dtype_promotion("standard"), jax.enable_x64(False):
        flax, ours = jax.jit(
            lambda x: (
                nnx.avg_pool(x, *args),
                functional.avg_pool(x, *args),
            )
        )(small)
    assert ours.dtype == flax.dtype == np.float32
    np.testing.assert_allclose(ours, flax, rtol=1e-6)  # one division in float32
    # Where Flax's sum wraps, this one does not.
    np.testing.assert_allclose(averages, reference.avg_pool(inputs, *args), rtol=1e-6)
    assert sums.dtype == jax.eval_shape(jnp.sum, inputs).dtype
    np.testing.assert_array_equal(sums, reference.sum_pool(inputs, *args))


def channels_first(inputs, torch):
    return torch.tensor(np.moveaxis(inputs, -1, 1)).requires_grad_()


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("strides, padding, dilation", [(2, 1, 1), (3, (1, 0), 2), ((1, 2), 0, 1)])
def test_same_as_torch(rng, strides, padding, dilation, ceil_mode):
    torch = pytest.importorskip("torch")
    inputs = rng.standard_normal((2, 8, 9, 3))
    theirs = channels_first(inputs, torch)
    options = dict(strides=strides, padding=padding, ceil_mode=ceil_mode)
    settings_ = dict(stride=strides, padding=padding, ceil_mode=ceil_mode)
    pairs = [
        (
            lambda x: functional.max_pool(x, (3, 2), **options, window_dilation=dilation),
            torch.nn.functional.max_pool2d(theirs, (3, 2), **settings_, dilation=dilation),
        )
    ]
    for include in (True, False):
        for divisor in (None, 5, -2):
            pairs.append(
                (
                    functools.partial(
                        functional.avg_pool,
                        window_shape=(3, 2),
                        **options,
                        count_include_pad=include,
                        divisor_override=divisor,
                    ),
                    torch.nn.functional.avg_pool2d(
                        theirs,
                        (3, 2),
                        **settings_,
                        count_include_pad=include,
                        divisor_override=divisor,
                    ),
                )
            )
    cotangents = [rng.standard_normal(out.permute(0, 2, 3, 1).shape) for _, out in pairs]

    def every(x, cotangents):
        for (ours, _), g in zip(pairs, cotangents, strict=True):
            outputs, pullback = jax.vjp(ours, x)
            yield outputs, pullback(g)[0]

    results = jax.jit(lambda *args: list(every(*args)))(inputs, cotangents)
    for (values, ours), (_, outputs), g in zip(results, pairs, cotangents, strict=True):
        np.testing.assert_allclose(np.moveaxis(values, -1, 1), outputs.detach(), rtol=1e-12)
        (gradient,) = torch.autograd.grad(outputs, theirs, channels_first(g, torch))
        np.testing.assert_allclose(np.moveaxis(ours, -1, 1), gradient, rtol=1e-10, atol=1e-12)


def test_refuses_bad_input():
    x = np.ones((2, 5, 6, 3))
    for pool, name in ((getattr(functional, name), name) for name in NAMES):
        for error, message, args, options in (
            (TypeError, "`window_shape` .=2. must be a tuple.*write .2, 2.", (x, 2), {}),
            (ValueError, "`window_shape` .=... must name at least one", (x, ()), {}),
            (ValueError, "`window_shape` .=0. must be at least 1", (x, (0, 2)), {}),
            (ValueError, "`window_shape` .=2.5. must be a whole number", (x, (2.5, 2)), {}),
            (ValueError, "`strides` .=0. must be at least 1", (x, (2, 2), 0), {}),
            (ValueError, "`strides` .=1000000.*. must be below", (x, (2, 2), 10**30), {}),
            (ValueError, "`strides` .=.1, 2, 3.. must be one int", (x, (2, 2), (1, 2, 3)), {}),
            (ValueError, "`padding` .='CIRCULAR'. must be one of", (x, (2, 2), 1, "CIRCULAR"), {}),
            (ValueError, "`padding` .=-1. must not be negative", (x, (2, 2), 1, -1), {}),
            (ValueError, "`window_shape` .=.6, 2.. spans 6 pixels", (x, (6, 2)), {}),
            (ValueError, "spans 7 pixels", (x, (4, 2)), dict(window_dilation=2)),
            (ValueError, "since `window_shape` .2, 2, 2, 2. has 4", (x, (2,) * 4), {}),
            (ValueError, "at least one channel", (np.ones((2, 5, 6, 0)), (2, 2)), {}),
            (ValueError, "no empty spatial axis", (np.ones((2, 0, 6, 1)), (2, 2)), {}),
            (TypeError, "`inputs` must be an array, got list", ([[1.0]], (1,)), {}),
            (TypeError, "`inputs` must have a dtype", (np.ones((3, 1), np.longdouble), (1,)), {}),
            (TypeError, "`ceil_mode` .=1. must be True or False", (x, (2, 2)), dict(ceil_mode=1)),
            (ValueError, "`padding_mode` .='wrap'. must", (x, (2, 2)), dict(padding_mode="wrap")),
            (ValueError, "`algorithm` .='fft'. must be one", (x, (2, 2)), dict(algorithm="fft")),
            (TypeError, "`algorithm` .=1. must be a string", (x, (2, 2)), dict(algorithm=1)),
        ):  # fmt: skip
            with pytest.raises(error, match=f"{name}: .*{message}"):
                pool(*args, **options)
    for name in ("max_pool", "min_pool"):
        pool = getattr(functional, name)
        with pytest.raises(ValueError, match=f"{name}: `padding` .* without a pixel of the input"):
            pool(x, (2, 2), padding=2)
        assert pool(x, (2, 2), padding=2, padding_mode="zeros").shape == (2, 8, 9, 3)
        for dtype in (bool, np.complex64):
            with pytest.raises(TypeError, match=f"{name}: `inputs` must hold real numbers"):
                pool(x.astype(dtype), (2, 2))


def test_avg_pool_refuses_bad_options():
    x = jnp.ones((2, 5, 6, 3))
    for error, message, options in (
        (ValueError, "`divisor_override` .=0. must not be 0", dict(divisor_override=0)),
        (ValueError, "`divisor_override` .=2.5. must be a whole", dict(divisor_override=2.5)),
        (TypeError, "`divisor_override` .=True. must be an int", dict(divisor_override=True)),
        (TypeError, "`count_include_pad` .=1. must be True", dict(count_include_pad=1)),
        (
            ValueError,
            "`count_include_pad` .=False. must be True where padding",
            dict(count_include_pad=False, padding_mode="reflect", padding=1),
        ),
    ):
        with pytest.raises(error, match=f"avg_pool: {message}"):
            functional.avg_pool(x, (2, 2), **options)
    with pytest.raises(TypeError, match="avg_pool: `inputs` must hold numbers, got bool"):
        functional.avg_pool(x.astype(bool), (2, 2))


sizes = st.integers(1, 7)
options = st.fixed_dictionaries(
    dict(
        strides=st.none() | st.integers(0, 3),
        padding=st.sampled_from(["SAME", "SAME_LOWER", "VALID", "FULL"]) | st.integers(-1, 3),
        padding_mode=st.sampled_from(["identity", "zeros", "replicate", "circular"]),
        window_dilation=st.integers(1, 3),
        ceil_mode=st.booleans(),
    )
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.tuples(sizes, sizes), st.tuples(st.integers(0, 4), sizes), options)
def test_any_options_give_the_references_shape_or_its_error(spatial, window, options):
    inputs = np.zeros((*spatial, 2))
    for name in ("max_pool", "avg_pool"):
        pool = functools.partial(getattr(functional, name), window_shape=window, **options)
        try:
            outputs = getattr(reference, name)(inputs, window, **options)
        except ValueError as error:
            with pytest.raises(ValueError, match=f"{name}: `") as raised:
                jax.eval_shape(pool, inputs)
            assert str(raised.value) == str(error)
        else:
            assert outputs.size
            assert jax.eval_shape(pool, inputs).shape == outputs.shape


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.tuples(sizes, sizes), st.tuples(st.integers(1, 3), st.integers(1, 3)), options)
def test_any_valid_options_agree_with_the_reference(spatial, window, options):
    rng = np.random.default_rng(0)
    inputs = rng.permutation(int(np.prod(spatial)) * 2).reshape((1, *spatial, 2)).astype(float)
    try:
        shape = reference.max_pool(inputs, window, **options).shape
    except ValueError:
        reject()
    cotangent = rng.standard_normal(shape)
    names = ("max_pool", "avg_pool")
    results = compute(inputs, cotangent, window, options, names)
    for name in names:
        outputs, gradient = expected(name, inputs, cotangent, window, options)
        np.testing.assert_allclose(results[name][0], outputs, rtol=1e-12)
        np.testing.assert_allclose(results[name][1], gradient, rtol=1e-10, atol=1e-12)
