"""Every way to break one argument of a convolution: our error, naming function and argument."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcnn import functional

ONES = functools.partial(np.ones, dtype=np.float32)
IMAGE, KERNEL, BIAS = ONES((2, 6, 5, 4)), ONES((3, 2, 4, 6)), ONES(6)
WHERE = dict(strides=1, padding=1, kernel_dilation=1)
ANY_FILL = dict(WHERE, padding_mode="zeros")
PRODUCT = dict(precision=None, preferred_element_type=None)
SHARED = dict(ANY_FILL, **PRODUCT, algorithm="auto")
DILATED = dict(SHARED, input_dilation=1, flip_kernel=False)

# function: its arrays, and options that suit them
CALLS = {
    "conv": (
        dict(inputs=IMAGE, kernel=KERNEL, bias=BIAS),
        dict(DILATED, feature_group_count=1),
    ),
    "conv_transpose": (
        dict(inputs=IMAGE, kernel=KERNEL, bias=BIAS),
        dict(
            SHARED,
            output_padding=0,
            output_shape=None,
            feature_group_count=1,
            transpose_kernel=False,
        ),
    ),
    "depthwise_conv": (dict(inputs=IMAGE, kernel=ONES((3, 2, 4, 2)), bias=ONES(8)), DILATED),
    "separable_conv": (
        dict(
            inputs=IMAGE,
            depthwise_kernel=ONES((3, 2, 4, 2)),
            pointwise_kernel=ONES((1, 1, 8, 6)),
            bias=BIAS,
        ),
        DILATED,
    ),
    "conv_local": (
        dict(inputs=IMAGE, kernel=ONES((6, 6, 3, 2, 4, 6)), bias=BIAS),
        dict(ANY_FILL, **PRODUCT, input_dilation=1),
    ),
    "partial_conv": (
        dict(inputs=IMAGE, kernel=KERNEL, mask=ONES((2, 6, 5, 1)), bias=BIAS),
        dict(DILATED, feature_group_count=1),
    ),
    "deform_conv": (
        dict(
            inputs=IMAGE,
            kernel=KERNEL,
            offsets=ONES((2, 6, 6, 12)),
            bias=BIAS,
            mask=ONES((2, 6, 6, 6)),
        ),
        dict(WHERE, precision=None, feature_group_count=1, offset_group_count=1),
    ),
    "resize_conv": (
        dict(inputs=IMAGE, kernel=KERNEL, bias=BIAS),
        dict(
            {name: SHARED[name] for name in SHARED if name != "strides"},
            scale=2,
            resized_shape=None,
            method="nearest",
            flip_kernel=False,
        ),
    ),
    "grey_dilation": (dict(inputs=IMAGE, kernel=ONES((3, 2, 4))), WHERE),
    "grey_erosion": (dict(inputs=IMAGE, kernel=ONES((3, 2, 4))), WHERE),
    "unfold": (
        dict(inputs=IMAGE),
        dict(strides=1, padding=1, window_shape=(3, 2), window_dilation=1),
    ),
    "fold": (
        dict(patches=ONES((2, 6, 6, 3, 2, 4))),
        dict(strides=1, padding=1, output_shape=(6, 5), window_dilation=1),
    ),
    "dilate": (dict(inputs=IMAGE), dict(rate=(2, 3))),
    "space_to_depth": (dict(inputs=IMAGE), dict(block_shape=(2, 5), order="CRD")),
    "depth_to_space": (dict(inputs=IMAGE), dict(block_shape=(2, 2), order="CRD")),
}


fractions = st.floats(0.1, 9).filter(lambda value: value != int(value))
no_number = st.sampled_from(["2", b"1", True, np.True_, {}, object, 1j, jnp.ones(()), ONES(())])
too_small = st.integers(-5, 0)
no_size = too_small | fractions | no_number
per_axis = (
    no_size
    | st.none()
    | st.tuples(st.just(1), no_size | st.none())
    | st.sampled_from([(), (1,), (1, 1, 1), [1, 1, 1], np.ones(3, int), np.ones(2)])
)
no_amount = fractions | no_number
BROKEN = {
    **dict.fromkeys(
        ("strides", "kernel_dilation", "input_dilation", "window_dilation", "scale"), per_axis
    ),
    "output_padding": st.integers(-5, -1) | st.integers(1, 5) | fractions | no_number | st.none(),
    "output_shape": st.integers(-3, 3) | fractions | no_number | st.just((6, 7, 8)),
    "resized_shape": st.integers(-3, 3) | fractions | no_number | st.just((6, 7, 8)),
    "rate": st.integers(1, 3) | no_size | st.sampled_from([(), (0, 1), (1.5, 1), (None, 1)]),
    "window_shape": st.integers(1, 3) | no_size | st.sampled_from([(), (9, 1), (0, 1), (None, 1)]),
    "block_shape": st.integers(1, 3) | no_size | st.sampled_from([(), (7, 1), (0, 1), (None, 1)]),
    "padding": no_amount
    | st.none()
    | st.sampled_from(["SAMEISH", "", "CAUSAL", (), (1,), (1, 1, 1), ((1, 2, 3), 1)])
    | st.tuples(st.integers(0, 1), no_amount),
    "padding_mode": st.sampled_from(["wrap", "", None, 3, ("zeros",), ["zeros"], jnp.ones(())]),
    "precision": st.sampled_from(["most", 3, ("high",), ("high", 3), {}, jnp.ones(())]),
    "preferred_element_type": st.sampled_from(
        ["floatish", 3, np.float16, bool, np.int32, {}, object, str, jnp.ones(()), ONES(2)]
    ),
    "algorithm": st.sampled_from(["magic", "", None, 3, ("auto",), jnp.ones(())]),
    "order": st.sampled_from(["CDR", "", None, 3]),
    "method": st.sampled_from(["cubic", "", None, 3]),
    **dict.fromkeys(
        ("flip_kernel", "transpose_kernel"),
        st.sampled_from([1, 0, None, "yes", (True,), jnp.ones(())]),
    ),
    **dict.fromkeys(
        ("feature_group_count", "offset_group_count"),
        no_size | st.sampled_from([None, 3, 5, 8, (1,)]),
    ),
}


@st.composite
def broken_option(draw, function: str):
    name = draw(st.sampled_from(sorted(CALLS[function][1])))
    return name, draw(BROKEN[name])


def check(function: str, arrays: dict, options: dict, argument: str, under_jit: bool):
    """Calls the function and looks at the error; `argument` may be one of several, by `|`."""
    fn = functools.partial(getattr(functional, function), **options)
    with pytest.raises((ValueError, TypeError)) as caught:
        if under_jit:
            jax.jit(lambda values: fn(**values))(arrays)
        else:
            fn(**arrays)
    message = str(caught.value)
    assert re.match(rf"{function}: `\w+`", message), message
    assert re.search(rf"`?({argument})\b", message), message


@pytest.mark.parametrize("function", CALLS)
def test_the_call_itself_is_valid(function):
    arrays, options = CALLS[function]
    jax.eval_shape(lambda values: getattr(functional, function)(**values, **options), arrays)


@pytest.mark.parametrize("function", CALLS)
def test_a_broken_option_is_named(function):
    arrays, options = CALLS[function]

    @settings(max_examples=60, derandomize=True, deadline=None, database=None)
    @given(broken_option(function), st.booleans())
    def refuses(broken, under_jit):
        name, value = broken
        check(function, arrays, {**options, name: value}, name, under_jit)

    refuses()


@pytest.mark.parametrize("function", CALLS)
def test_a_traced_option_is_named(function):
    arrays, options = CALLS[function]
    for name in options:
        fn = functools.partial(
            getattr(functional, function), **arrays, **{k: options[k] for k in options if k != name}
        )
        with pytest.raises((TypeError, ValueError), match=rf"^{function}: `{name}` "):
            jax.jit(lambda value, fn=fn, name=name: fn(**{name: value}))(np.ones(2, int))


# what is wrong with any array, and with one that meets another in a product
UNFIT = {
    "list": lambda a: a.tolist(),
    "number": lambda a: 1.0,
    "text": lambda a: "a",
    "texts": lambda a: np.full(a.shape, "a"),
    "objects": lambda a: np.full(a.shape, None),
    "times": lambda a: a.astype("M8[s]"),
    "keys": lambda a: jax.random.key(0),
    "scalar": lambda a: a.reshape(-1)[0],
    "no channel": lambda a: a[..., :0],
    "one axis": lambda a: np.repeat(a.reshape(-1), 2),
}
UNFIT_BESIDE_OTHERS = {
    "fewer channels": lambda a: a[..., :-1],
    "another dtype": lambda a: a.astype(np.float64),
    "bool": lambda a: a > 0,
    "integers": lambda a: a.astype(np.int8),
    "complex": lambda a: a.astype(np.complex64),
}
ANY_DTYPE = {("partial_conv", "mask"), ("deform_conv", "offsets"), ("deform_conv", "mask")}


@pytest.mark.parametrize("function", CALLS)
def test_an_unfit_array_is_named(function):
    arrays, options = CALLS[function]
    for name, array in arrays.items():
        alone = len(arrays) == 1 or (function, name) in ANY_DTYPE
        ways = UNFIT if alone else UNFIT | UNFIT_BESIDE_OTHERS
        for label, unfit in ways.items():
            if label == "fewer channels" and name in ("kernel", "pointwise_kernel"):
                continue  # a kernel with fewer outputs is one, until it meets the bias
            broken = {**arrays, name: unfit(array)}
            traced = isinstance(broken[name], np.ndarray) and broken[name].dtype.kind in "fibc"
            for under_jit in (False, True)[: 1 + traced]:
                check(function, broken, options, "|".join(arrays), under_jit)


@pytest.mark.parametrize(
    "function, padding",
    [
        *((name, -9) for name in CALLS if name.endswith("conv") or name == "conv_local"),
        ("conv_transpose", 9),
        ("grey_dilation", 9),
        ("grey_erosion", 9),
        ("unfold", -1),
        ("fold", -1),
    ],
)
def test_padding_that_leaves_nothing(function, padding):
    arrays, options = CALLS[function]
    for under_jit in (False, True):
        check(function, arrays, {**options, "padding": padding}, "padding|padded", under_jit)


@pytest.mark.parametrize("function", [name for name in CALLS if "kernel" in CALLS[name][0]])
def test_two_dtypes_meet(function):
    arrays, options = CALLS[function]
    mixed = {**arrays, "kernel": arrays["kernel"].astype(jnp.bfloat16)}
    fn = functools.partial(getattr(functional, function), **options)
    message = rf"^{function}: `inputs` and `kernel` must have one dtype .* got float32 and bfloat16"
    for run in (fn, jax.jit(fn)):
        with pytest.raises(TypeError, match=message):
            run(**mixed)
        with jax.numpy_dtype_promotion("standard"):
            outputs = jax.eval_shape(lambda values: fn(**values), mixed)
            assert jax.tree.leaves(outputs)[0].dtype == jnp.float32


@pytest.mark.parametrize("preferred", [np.float64, jnp.float64, np.dtype(np.float64), "float64"])
def test_a_dtype_may_be_given_in_every_form(preferred):
    outputs = functional.conv(IMAGE, KERNEL, preferred_element_type=preferred)
    assert outputs.dtype == jnp.float64


def test_a_bias_joins_the_preferred_type():
    narrow = {name: jnp.asarray(value, jnp.bfloat16) for name, value in CALLS["conv"][0].items()}
    assert functional.conv(**narrow, preferred_element_type=jnp.float32).dtype == jnp.float32
    with pytest.raises(TypeError, match="^conv: `bias` and `outputs` must have one dtype"):
        functional.conv(**{**narrow, "bias": BIAS})


@pytest.mark.parametrize(
    "dtype, preferred",
    [("int8", "int4"), ("int8", "uint32"), ("uint8", "int8"), ("float16", "bfloat16")],
)
def test_a_preferred_type_of_the_same_size_may_hold_less(dtype, preferred):
    arrays = [jax.ShapeDtypeStruct(shape, dtype) for shape in ((1, 3, 2), (2, 2, 1))]
    convolve = functools.partial(functional.conv, preferred_element_type=preferred)
    message = rf"^conv: `preferred_element_type` \(={preferred}\) must hold every {dtype}"
    with pytest.raises(TypeError, match=message):
        jax.eval_shape(convolve, *arrays)
