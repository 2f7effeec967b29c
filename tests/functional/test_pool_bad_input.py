"""One argument of a valid call broken at random: every pool names it, what came and the rule.

No message of XLA or of JAX's own may come out in its place, under jit neither.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jaxcnn import functional

IMAGE = np.arange(2 * 5 * 6 * 3, dtype=np.float32).reshape(2, 5, 6, 3)
MASK = IMAGE > 0
KEY = jax.random.key(0)
WINDOW = dict(window_shape=(2, 3), strides=2, padding=1)
DILATED = dict(**WINDOW, window_dilation=1)
EVERY = dict(**DILATED, padding_mode="zeros", ceil_mode=False, algorithm="auto")

# name: arguments of a valid call
CALLS = {
    "max_pool": EVERY,
    "min_pool": EVERY,
    "sum_pool": EVERY,
    "avg_pool": dict(**EVERY, count_include_pad=True, divisor_override=3),
    "lp_pool": dict(**EVERY, norm_order=2),
    "logsumexp_pool": EVERY,
    "pool": dict(**DILATED, init=0.0, reduce_fn=jnp.add),
    "max_pool_with_indices": dict(**DILATED, padding_mode="replicate", ceil_mode=False),
    "max_unpool": dict(**DILATED, indices=np.zeros(IMAGE.shape, np.int32), output_shape=(8, 11)),
    "adaptive_avg_pool": dict(output_shape=(2, None)),
    "adaptive_max_pool": dict(output_shape=(2, None)),
    "adaptive_max_pool_with_indices": dict(output_shape=(7, 3)),
    "global_avg_pool": dict(spatial_axes=(1, 2), keepdims=True),
    "global_max_pool": dict(spatial_axes=(1, 2), keepdims=False),
    "spatial_pyramid_pool": dict(levels=((1, 1), (2, 3)), reducer="max"),
    "fractional_max_pool": dict(window_shape=(2, 2), output_shape=(3, 4), key=KEY),
    "fractional_max_pool_with_indices": dict(
        window_shape=(2, 2), output_shape=(3, 4), samples=np.zeros((2, 3, 2))
    ),
    "stochastic_pool": dict(**DILATED, ceil_mode=False, key=KEY, deterministic=False),
    "blur_pool": dict(**WINDOW, padding_mode="reflect"),
}

not_whole = st.floats(allow_nan=True, allow_infinity=True).filter(lambda v: not v.is_integer())
no_number = st.sampled_from(["2", None, True, (), {}, {2}, object(), 1j, b"2", [[1]], np.ones(2)])
not_positive = st.integers(max_value=0) | st.integers(min_value=2**31)
bad_int = not_positive | not_whole | no_number
bad_name = st.text().filter(lambda text: not text.isalpha()) | st.sampled_from([None, 0, True, ()])
bad_flag = st.sampled_from([0, 1, None, "True", (True,), np.ones(2, bool)])
wrong_count = st.lists(st.integers(1, 2), max_size=5).filter(lambda entries: len(entries) != 2)


def one_bad(entry, good=1):
    """A pair of which one entry is bad."""
    return st.tuples(entry, st.just(good)) | st.tuples(st.just(good), entry)


none = st.just(None)
bad_shape = st.sampled_from([2, None, "22", 2.5, (), {2, 3}]) | one_bad(bad_int)
bad_per_axis = bad_int.filter(lambda v: v is not None) | one_bad(bad_int) | wrong_count
bad_array = st.sampled_from([None, 1.5, "x", [[1.0]], object(), np.array(["x"]), np.array([None])])
# argument: what it may not be
BAD = {
    "inputs": bad_array
    | st.sampled_from(
        [IMAGE[:0, 0, 0, 0], IMAGE[:, :0], IMAGE[..., :0], MASK, IMAGE.astype(np.longdouble)]
    ),
    "window_shape": bad_shape | one_bad(st.integers(30, 2**31 - 1)),
    "strides": bad_per_axis,
    "window_dilation": bad_per_axis | st.integers(30, 2**31 - 1),
    "padding": st.sampled_from([True, {}, object(), ((1, 2, 3), (0, 0)), ((0, -1), (0, 0)), (1,)])
    | st.integers(max_value=-1)
    | st.integers(min_value=2**31)
    | not_whole
    | bad_name.filter(lambda name: name not in (None, 0)),
    "padding_mode": bad_name,
    "ceil_mode": bad_flag,
    "count_include_pad": bad_flag,
    "keepdims": bad_flag,
    "deterministic": bad_flag,
    "algorithm": bad_name,
    "reducer": bad_name,
    "divisor_override": st.just(0) | not_whole | no_number.filter(lambda v: v is not None),
    "norm_order": st.floats(max_value=0) | st.just(np.nan) | no_number | st.just(10**400),
    "init": st.sampled_from([None, "0", (), np.ones(2), 1j, 10**400, np.int32(1), KEY]),
    "reduce_fn": st.sampled_from([None, 1, "add", lambda a, b: a > b, lambda a, b: (a, b)]),
    "indices": bad_array
    | st.sampled_from([IMAGE, np.zeros((2, 5, 6, 2), int), np.full(IMAGE.shape, 88)]),
    "output_shape": bad_shape | one_bad(st.integers(2**31, 2**70)),
    "spatial_axes": st.sampled_from(["12", (), (1, 1), (1, -3), 4, -5, 1.5, (1, None), {1}, True]),
    "levels": st.sampled_from([None, 3, "11", (), ((1, 1), (2,)), ((1, 0),), ((1, 2.5),), (2, 2)]),
    "samples": bad_array | st.sampled_from([np.zeros((2, 3, 3)), np.ones((2, 3, 2)), np.int32(0)]),
    "key": st.sampled_from([3, "key", np.zeros(3, np.uint32), np.zeros(2), jax.random.split(KEY)]),
}


# what one pool takes although others do not
ALLOWED = {
    "pool": lambda arguments: arguments["inputs"] is MASK,
    "sum_pool": lambda arguments: arguments["inputs"] is MASK,
    "max_unpool": lambda arguments: arguments["output_shape"] is None,
    **{
        f"adaptive_{kind}": lambda arguments: (
            repr(arguments["output_shape"]) in ("(1, None)", "(None, 1)")
        )
        for kind in ("avg_pool", "max_pool", "max_pool_with_indices")
    },
}


@st.composite
def broken_calls(draw):
    """A function's name, its arguments, and which of them is bad."""
    name = draw(st.sampled_from(sorted(CALLS)))
    arguments = dict(inputs=IMAGE, **CALLS[name])
    argument = draw(st.sampled_from(sorted(arguments)))
    arguments[argument] = draw(BAD[argument])
    allowed = ALLOWED.get(name, lambda arguments: False)
    assume(not allowed(arguments))
    return name, arguments, argument


@settings(max_examples=600, deadline=None, derandomize=True)
@given(broken_calls())
def test_a_bad_argument_is_named_with_what_came_and_the_rule(call):
    name, arguments, argument = call
    pool = getattr(functional, name)
    # Of an array that is traced only the shape and the dtype are known.
    hidden = argument in ("indices", "samples") and np.size(arguments[argument]) > 1
    for run in (lambda run: run(), jax.eval_shape)[: 1 if hidden else 2]:
        with pytest.raises((ValueError, TypeError)) as raised:
            run(lambda: pool(**arguments))
        message = str(raised.value)
        assert message.startswith(f"{name}: ") and argument in message, message
        assert re.search("must|spans|leaves", message), message


@pytest.mark.parametrize("name", CALLS)
def test_an_option_that_is_traced_is_named(name):
    arguments = dict(inputs=IMAGE, **CALLS[name])
    static = {key: v for key, v in arguments.items() if isinstance(v, (int, tuple))}
    for argument, value in static.items():
        if argument == "levels":
            value = value[0]
        inside = [(jnp.int32(1), *value[1:])] if isinstance(value, tuple) else []
        for traced in (value, *inside):

            def run(traced, argument=argument):
                traced = (traced,) if argument == "levels" else traced
                return getattr(functional, name)(**(arguments | {argument: traced}))

            with pytest.raises(
                TypeError, match=f"^{name}: `{argument}` .* (before tracing|must be True)"
            ):
                jax.eval_shape(run, traced)
