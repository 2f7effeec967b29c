"""Plans: equal for equal calls, one program for each, what they say, and what is refused."""

import gc
import inspect
import traceback

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import functional as F
from jaxcnn._planning.plan import planned, to_run

INPUTS = np.random.default_rng(3).normal(size=(2, 9, 7, 4))
KERNEL = np.random.default_rng(4).normal(size=(3, 2, 4, 5))
SAME = ((1, 1), (0, 1))

# One call of each written in several ways.
ALIKE = {
    "conv": (
        F.conv,
        (INPUTS, KERNEL),
        [
            dict(),
            dict(strides=1),
            dict(strides=(1, 1)),
            dict(strides=[1, 1]),
            dict(strides=np.array([1, 1])),
            dict(strides=np.int32(1), kernel_dilation=(1, 1)),
            dict(padding="same"),
            dict(padding=SAME),
            dict(padding=[[1, 1], np.array([0, 1])]),
            dict(feature_group_count=np.int64(1), flip_kernel=np.False_),
        ],
    ),
    "highest precision": (
        F.conv,
        (INPUTS, KERNEL),
        [dict(precision="highest"), dict(precision=jax.lax.Precision.HIGHEST)],
    ),
    "depthwise": (
        F.depthwise_conv,
        (INPUTS, KERNEL[..., :2]),
        [dict(), dict(padding="SAME"), dict(padding=list(SAME), input_dilation=[1, 1])],
    ),
    "transposed": (
        F.conv_transpose,
        (INPUTS, KERNEL),
        [dict(strides=2), dict(strides=[2, 2]), dict(strides=2, output_shape=(18, 14))],
    ),
    "fill that Flax names": (
        F.conv,
        (INPUTS, KERNEL),
        [dict(padding="CIRCULAR"), dict(padding=((1, 1), (0, 1)), padding_mode="circular")],
    ),
    "fill of nothing": (
        F.conv,
        (INPUTS, KERNEL),
        [dict(padding="VALID"), dict(padding=0, padding_mode="reflect")],
    ),
    "max pool": (
        lambda x, **o: F.max_pool(x, o.pop("window", (2, 2)), **o),
        (INPUTS,),
        [dict(strides=2), dict(window=[2, 2], strides=(2, 2), padding=0), dict(strides=[2, 2])],
    ),
    "average pool": (
        lambda x, **o: F.avg_pool(x, (2, 3), **o),
        (INPUTS,),
        [dict(), dict(strides=1, padding_mode="zeros"), dict(window_dilation=(1, 1))],
    ),
    "norm": (
        lambda x, p, **o: F.lp_pool(x, p, (2, 3), **o),
        (INPUTS,),
        [dict(p=2), dict(p=2.0), dict(p=np.float32(2))],
    ),
}


@pytest.mark.parametrize(("function", "arrays", "ways"), ALIKE.values(), ids=ALIKE)
def test_equal_calls_share_one_program(function, arrays, ways, caplog):
    jax.clear_caches()
    arrays = [jax.device_put(array) for array in arrays]
    with jax.log_compiles():
        results = [function(*arrays, **way) for way in ways]
    for result in results:
        np.testing.assert_array_equal(result, results[0])
    compiled = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Compiling")]
    assert len(compiled) == 1, compiled


def test_plans_are_equal_where_calls_are():
    plans = {F.plan("conv", INPUTS, KERNEL, **way) for way in ALIKE["conv"][2]}
    assert len(plans) == 1
    others = [dict(strides=2), dict(padding=1), dict(precision="highest"), dict(flip_kernel=True)]
    assert len({F.plan("conv", INPUTS, KERNEL, **way) for way in others} | plans) == 5
    assert F.plan("conv", INPUTS, KERNEL) != F.plan("conv", INPUTS[:, 1:], KERNEL)
    assert F.plan("max_pool", INPUTS, (2, 2)) != F.plan("min_pool", INPUTS, (2, 2))
    assert F.plan("conv", INPUTS, KERNEL) != "conv"


def test_a_plan_tells_shapes_padding_and_the_algorithm_of_each_platform():
    inputs = jax.ShapeDtypeStruct((8, 33, 32, 4), jnp.float32)
    kernel = jax.ShapeDtypeStruct((3, 5, 1, 8), jnp.float32)
    plan = F.plan(F.conv, inputs, kernel, strides=2, feature_group_count=4, padding_mode="reflect")
    assert plan.outputs == jax.ShapeDtypeStruct((8, 17, 16, 8), jnp.float32)
    assert {platform: name for platform, (name, _) in plan.algorithms.items()} == {
        "cpu": "shift",
        "cuda": "slices",
        "tpu": "repeat",
    }
    rows = dict(line.strip().split("  ", 1) for line in str(plan).splitlines()[1:])
    told = {name: text.strip() for name, text in rows.items()}
    assert told["outputs"] == "(8, 17, 16, 8) float32"
    assert told["windows"] == "3x5, strides 2x2, padding ((1, 1), (1, 2))"
    assert told["padded with"] == "reflect" and told["groups"] == "4"
    assert told["on cpu"].startswith("shift: ")
    asked = F.plan("conv", INPUTS, KERNEL, algorithm="direct")
    assert asked.algorithms["tpu"] == ("direct", "asked for")
    assert F.plan("unfold", INPUTS, (2, 2)).algorithms == {}


def test_every_function_can_be_planned():
    functions = set(F.__all__) - {"plan"}
    assert all(hasattr(getattr(F, name), "prepare") for name in functions)
    transposed = str(F.plan("conv_transpose", INPUTS, KERNEL, strides=2, precision="highest"))
    assert "convolution  3x2, strides 1x1" in transposed and "precision    HIGHEST" in transposed
    assert "samples" not in str(F.plan("stochastic_pool", INPUTS, (2, 2), key=jax.random.key(0)))
    assert F.plan("pool", INPUTS, 0.0, jnp.add, (2, 2)).outputs.shape == (2, 8, 6, 4)


def test_what_cannot_be_planned_is_refused():
    with pytest.raises(ValueError, match=r"plan: `function` \(='convolve'\) must be a function of"):
        F.plan("convolve", INPUTS, KERNEL)
    with pytest.raises(ValueError, match=r"plan: `function` \(='plan'\) must be"):
        F.plan(F.plan)
    with pytest.raises(ValueError, match=r"^conv: `strides` \(=0\) must be at least 1"):
        F.plan("conv", INPUTS, KERNEL, strides=0)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'kernel'"):
        F.plan("conv", INPUTS)


def test_plans_follow_the_settings_of_jax():
    with jax.enable_x64(True):
        assert F.sum_pool(INPUTS > 0, (2, 2)).dtype == jnp.int64
    with jax.enable_x64(False):
        assert F.sum_pool(INPUTS > 0, (2, 2)).dtype == jnp.int32
    narrow = INPUTS.astype(np.float32)
    with jax.numpy_dtype_promotion("standard"):
        assert F.conv(narrow, KERNEL).dtype == jnp.float64
    with jax.numpy_dtype_promotion("strict"), pytest.raises(TypeError, match="must have one dtype"):
        F.conv(narrow, KERNEL)


def test_plans_are_remembered_and_forgotten_with_their_programs():
    planned_for = []

    def multiplied(inputs, *, by):
        return inputs * by

    @planned("inputs")
    def scaled(inputs, *, by):
        planned_for.append(by)
        return to_run(multiplied, batch=inputs.ndim - 1, by=by)

    def call(*factors):
        for by in factors:
            np.testing.assert_array_equal(scaled(np.ones((2, 3)), by=by), np.full((2, 3), by))

    call(1, 2, 1, 2)
    jax.jit(lambda x: scaled(scaled(x, by=3), by=3))(np.ones((2, 3)))
    assert planned_for == [1, 2, 3]
    jax.clear_caches()
    gc.collect()
    call(1, 2)
    assert planned_for == [1, 2, 3, 1, 2]


@pytest.mark.parametrize(
    "function",
    [
        lambda x, k: F.conv(x, k, np.ones(5), padding="REFLECT", strides=2),
        lambda x, k: F.conv_transpose(x, k, np.ones(5), strides=2, padding=[(1, 0), (0, 0)]),
        lambda x, k: F.conv(x, k, precision=jax.lax.Precision.HIGHEST),
        lambda x, k: F.avg_pool(x, (3, 3), 2, 1, False, ceil_mode=True),
        lambda x, k: F.spatial_pyramid_pool(x, [(1, 1), (2, 2)]),
        lambda x, k: F.conv_general_dilated(
            x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        ),
    ],
)
def test_a_call_is_one_operation(function):
    equations = jax.make_jaxpr(function)(INPUTS, KERNEL).eqns
    assert [equation.primitive.name for equation in equations] == ["jit"]


def test_layers_that_are_alike_are_traced_once():
    traced = []

    def multiplied(inputs, *, by):
        traced.append((inputs.shape, by))
        return inputs * by

    @planned("inputs")
    def scaled(inputs, *, by):
        return to_run(multiplied, batch=inputs.ndim, by=by)

    def network(x):
        for _ in range(5):
            x = scaled(x, by=2)
        return x

    np.testing.assert_array_equal(jax.jit(network)(np.arange(3)), 32 * np.arange(3))
    assert traced == [((3,), 2)]


def test_options_differ_where_their_types_do():
    F.conv(INPUTS, KERNEL, strides=1)
    with pytest.raises(TypeError, match=r"`strides` \(=True\) must be an int, got bool"):
        F.conv(INPUTS, KERNEL, strides=True)
    F.conv(INPUTS, KERNEL, strides=(1, 1), flip_kernel=True)
    with pytest.raises(TypeError, match=r"`flip_kernel` \(=1\) must be True or False"):
        F.conv(INPUTS, KERNEL, strides=(1, 1), flip_kernel=1)  # pyright: ignore
    F.max_pool(INPUTS, (2, 2), 2)
    with pytest.raises(ValueError, match=r"`strides` \(=2.0\) must be a whole number"):
        F.max_pool(INPUTS, (2, 2), 2.0)  # pyright: ignore


def test_options_in_lists_and_of_numpy():
    expected = F.conv(INPUTS, KERNEL, strides=(2, 1), padding=((1, 0), (0, 1)))
    for strides, padding in (
        ([2, 1], [[1, 0], [0, 1]]),
        (np.array([2, 1]), [(1, 0), (0, 1)]),
        ((np.int64(2), 1), ((1, 0), (0, 1))),
    ):
        found = F.conv(INPUTS, KERNEL, strides=strides, padding=padding)  # pyright: ignore
        np.testing.assert_array_equal(found, expected)


def test_parameters_of_layers_count_as_they_are_now():
    kernel = nnx.Param(jnp.asarray(KERNEL))
    before = F.conv(INPUTS, kernel)  # pyright: ignore
    kernel[...] = 2 * kernel[...]
    np.testing.assert_allclose(F.conv(INPUTS, kernel), 2 * before)  # pyright: ignore


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.conv(INPUTS), "missing 1 required positional argument: 'kernel'"),
        (lambda: F.conv(INPUTS, KERNEL, None, 2), "takes from 2 to 3 positional arguments"),
        (lambda: F.conv(INPUTS, KERNEL, inputs=INPUTS), "multiple values for argument 'inputs'"),
        (lambda: F.conv(INPUTS, KERNEL, stride=2), "unexpected keyword argument 'stride'"),
        (lambda: F.conv(INPUTS.tolist(), KERNEL), "`inputs` must be an array, got list"),
        (lambda: F.partial_conv(INPUTS, KERNEL, 1.0), "`mask` must be an array, got float"),
        (lambda: F.conv(INPUTS.astype(object), KERNEL), "must hold numbers, got dtype object"),
        (lambda: F.conv(INPUTS, KERNEL, strides=True), r"`strides` \(=True\) must be an int"),
    ],
)
def test_a_refusal_shows_no_frame_of_jax(call, message):
    with pytest.raises(TypeError, match=message) as refusal:
        call()
    assert refusal.value.__context__ is None
    frames = traceback.extract_tb(refusal.value.__traceback__)
    assert not any(frame.filename.startswith(jax.__path__[0]) for frame in frames)


def test_names_texts_and_types_stay():
    assert F.conv.__name__ == "conv" and F.conv.__module__ == "jaxcnn.functional.conv"
    assert list(inspect.signature(F.conv).parameters)[:3] == ["inputs", "kernel", "bias"]
    assert "jit(conv)" in jax.jit(F.conv).lower(INPUTS, KERNEL).as_text(debug_info=True)
