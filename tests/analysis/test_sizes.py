"""output_shape: the formula against enumeration, and against what the functions return."""

import itertools

import jax
import jax.numpy as jnp
import pytest

from jaxcnn import analysis, functional


def test_agrees_with_enumeration_everywhere():
    cases = itertools.product(
        range(1, 13), range(1, 6), range(1, 5), range(1, 4), range(5), range(5)
    )
    for n, k, s, d, low, high in cases:
        total, span = n + low + high, d * (k - 1) + 1
        fit = [start for start in range(0, total, s) if start + span <= total]
        options = dict(strides=s, padding=((low, high),), window_dilation=d)
        if fit:
            assert analysis.output_shape((n,), (k,), **options) == (len(fit),)
        else:
            with pytest.raises(ValueError, match=r"output_shape: `window_shape` .* more than the"):
                analysis.output_shape((n,), (k,), **options)


def test_the_founding_example_and_the_rule_of_thumb_it_replaces():
    assert analysis.output_shape((7, 7), (3, 3), strides=2) == (3, 3)
    assert analysis.output_shape((7,), (5,)) == (3,)  # not 7 - ceil(5 / 2) = 4


CONVOLUTIONS = [
    dict(strides=(2, 1), padding="SAME"),
    dict(strides=3, padding="SAME_LOWER", kernel_dilation=(1, 2)),
    dict(padding="FULL", input_dilation=(2, 3)),
    dict(padding="CIRCULAR", strides=2),
    dict(padding="REFLECT", kernel_dilation=2),
    dict(padding=((-1, 2), (0, -1))),
    dict(padding=1, strides=(1, 4), input_dilation=2, kernel_dilation=(2, 1)),
]
TRANSPOSED = [
    *(
        dict(strides=(2, 3), padding=name, kernel_dilation=(1, 2))
        for name in ("SAME", "SAME_LOWER", "VALID", "FULL", "CIRCULAR", "REFLECT")
    ),
    dict(strides=2, padding=1, output_padding=1),
    dict(strides=(1, 3), padding=((0, 1), (2, 1)), output_padding=(0, 2)),
    dict(padding=-1, kernel_dilation=2),
]


def renamed(options):
    return {"window_dilation" if k == "kernel_dilation" else k: v for k, v in options.items()}


@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_is_the_shape_that_conv_returns(options):
    inputs, kernel = jnp.zeros((2, 9, 11, 1)), jnp.zeros((3, 2, 1, 1))
    out = jax.eval_shape(lambda x, k: functional.conv(x, k, **options), inputs, kernel)
    assert analysis.output_shape((9, 11), (3, 2), **renamed(options)) == out.shape[1:-1]


@pytest.mark.parametrize("options", TRANSPOSED)
def test_is_the_shape_that_conv_transpose_returns(options):
    inputs, kernel = jnp.zeros((2, 5, 7, 1)), jnp.zeros((3, 4, 1, 1))
    out = jax.eval_shape(lambda x, k: functional.conv_transpose(x, k, **options), inputs, kernel)
    shape = analysis.output_shape((5, 7), (3, 4), transposed=True, **renamed(options))
    assert shape == out.shape[1:-1]


def test_a_convolution_leads_back_from_its_transpose():
    cases = itertools.product(
        range(1, 9), range(1, 5), range(1, 4), range(1, 4), range(3), range(3)
    )
    for n, k, s, d, low, high in cases:
        options = dict(strides=s, padding=((low, high),), window_dilation=d)
        if (n - 1) * s + d * (k - 1) + 1 - low - high < 1:
            with pytest.raises(ValueError, match=r"output_shape: `padding` .* must leave an outp"):
                analysis.output_shape((n,), (k,), transposed=True, **options)
            continue
        for extra in range(s):
            size = analysis.output_shape(
                (n,), (k,), transposed=True, output_padding=extra, **options
            )
            assert analysis.output_shape(size, (k,), **options) == (n,)


def test_is_the_shape_that_a_pool_returns():
    inputs = jnp.zeros((2, 9, 7, 1))
    pooled = functional.max_pool(inputs, (3, 2), 3, padding=1, window_dilation=(1, 2))
    options = dict(strides=3, padding=1, window_dilation=(1, 2))
    assert analysis.output_shape((9, 7), (3, 2), **options) == pooled.shape[1:-1]
    pooled = functional.max_pool(
        inputs, (3, 2), 3, padding=1, window_dilation=(1, 2), ceil_mode=True
    )
    up = analysis.output_shape((9, 7), (3, 2), ceil_mode=True, **options)
    assert up == pooled.shape[1:-1] == (4, 3)


BAD = {
    "int": (TypeError, r"`input_shape` \(=7\) must be a tuple", (7, (3,)), {}),
    "int window": (TypeError, r"`window_shape` \(=3\) must be a tuple", ((7,), 3), {}),
    "ranks": (
        ValueError,
        r"`input_shape` \(=\(2, 7, 7, 3\)\) must have one size for each of the 2 axes .* leave b",
        ((2, 7, 7, 3), (3, 3)),
        {},
    ),
    "zero": (ValueError, r"`input_shape` \(=0\) must be at least 1", ((0,), (1,)), {}),
    "half": (ValueError, r"`window_shape` \(=1.5\) must be a whole", ((7,), (1.5,)), {}),
    "ceil_mode": (TypeError, r"`ceil_mode` \(=1\) must be True", ((7,), (3,)), dict(ceil_mode=1)),
    "transposed": (TypeError, r"`transposed` \(=1\) must", ((7,), (3,)), dict(transposed=1)),
    "dilation": (ValueError, r"`window_dilation` \(=0\)", ((7,), (3,)), dict(window_dilation=0)),
    "output_padding": (
        ValueError,
        r"`output_padding` \(=1\) must be 0 unless `transposed`",
        ((7,), (3,)),
        dict(output_padding=1),
    ),
    "output_padding size": (
        ValueError,
        r"`output_padding` \(=\(2,\)\) must be below strides \(=2\)",
        ((7,), (3,)),
        dict(output_padding=2, strides=2, transposed=True),
    ),
    "transposed ceil": (
        ValueError,
        r"`transposed` \(=True\) goes with neither `ceil_mode` \(=True\)",
        ((7,), (3,)),
        dict(transposed=True, ceil_mode=True),
    ),
    "transposed dilation": (
        ValueError,
        r"`transposed` \(=True\) .* `input_dilation` \(=2\); leave them out",
        ((7,), (3,)),
        dict(transposed=True, input_dilation=2),
    ),
    "padding": (ValueError, r"`padding` \(='WRAP'\)", ((7,), (3,)), dict(padding="WRAP")),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses(case):
    error, message, args, options = BAD[case]
    with pytest.raises(error, match="output_shape: " + message):
        analysis.output_shape(*args, **options)
