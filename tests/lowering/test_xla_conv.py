"""On a CPU XLA is never given a negative padding, with which it reads memory of others."""

import ast
import functools
import itertools
import pathlib
import re

import jax
import numpy as np
import pytest

import jaxcnn
from jaxcnn import functional
from jaxcnn.lowering import choose, per_platform
from tests.helpers import afresh

# name: inputs, kernel, options of `functional.conv`
CASES = {
    "cropped and padded": ((2, 6, 6, 3), (1, 5, 3, 4), dict(strides=2, padding=((-2, 2), (-1, 1)))),
    "unread": ((2, 11, 9, 3), (2, 1, 3, 4), dict(strides=(4, 3), padding="VALID")),
    "beyond the kernel": ((2, 5, 4, 3), (3, 2, 3, 4), dict(padding=((5, 0), (1, 7)))),
    "one output": ((2, 3, 1, 3), (5, 3, 3, 4), dict(strides=(9, 1), padding=((2, 3), (1, 1)))),
    "kernel larger": ((2, 2, 3, 3), (7, 7, 3, 4), dict(padding="SAME")),
    "padding alone": ((2, 3, 4, 3), (2, 2, 3, 4), dict(padding=((-3, 6), (1, 1)))),
    "mixed": ((2, 9, 12, 3), (3, 4, 3, 4), dict(strides=(2, 3), kernel_dilation=(3, 1), padding=7)),
    "inputs dilated": (
        (2, 4, 5, 3), (1, 4, 3, 4), dict(input_dilation=(3, 2), strides=2, padding=((1, 1), 6)),
    ),
    "inputs dilated, cropped": (
        (2, 4, 5, 3), (3, 2, 3, 4), dict(input_dilation=3, padding=((-2, 1), (0, -4))),
    ),
    "groups": (
        (2, 6, 5, 4), (3, 2, 2, 6), dict(feature_group_count=2, padding=((-1, 4), 3), strides=2),
    ),
    "many images": ((24, 12, 13, 2), (3, 2, 2, 3), dict(padding=((-1, 1), (4, -2)))),
    "1d": ((2, 11, 3), (3, 3, 4), dict(strides=3, padding=((-2, 4),))),
    "3d": ((2, 4, 5, 6, 2), (2, 3, 2, 2, 3), dict(strides=(1, 3, 1), padding=((3, 0), -1, 2))),
}  # fmt: skip


def equations(jaxpr, seen):
    """All equations that a CPU may run: of programs within equations, of every platform's forms.

    `seen` are the forms that were looked at, of which none is traced twice.
    """
    for equation in jaxpr.eqns:
        yield equation
        if equation.primitive.name == "by_platform":
            avals = tuple((v.aval.shape, v.aval.dtype) for v in equation.invars)
            computation = equation.params["computation"]
            for platform in ("cpu",) if computation.of_the_device else per_platform.PLATFORMS:
                if (form := (computation, platform, avals)) not in seen:
                    seen.add(form)
                    shapes = itertools.starmap(jax.ShapeDtypeStruct, avals)
                    made = jax.make_jaxpr(computation.on(platform))(*shapes)
                    yield from equations(made.jaxpr, seen)
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner, seen)


def amounts(function, *arrays):
    """The padding of each convolution that `function` asks XLA for."""
    return [
        tuple(map(tuple, equation.params["padding"]))
        for equation in equations(jax.make_jaxpr(function)(*arrays).jaxpr, set())
        if equation.primitive.name == "conv_general_dilated"
    ]


def derivatives(function):
    """The gradient, how it moves along the arguments, and its own gradient."""

    def gradient(*arrays):
        outputs, pullback = jax.vjp(function, *arrays)
        return pullback(outputs)

    def run(*arrays):
        outputs, pullback = jax.vjp(gradient, *arrays)
        return jax.jvp(gradient, arrays, arrays), pullback(outputs)

    return run


def called(case, algorithm):
    inputs, kernel, options = CASES[case]
    # the function itself, which is traced afresh every time
    conv = functools.partial(afresh(functional.conv), **options, algorithm=algorithm)
    return conv, *(jax.ShapeDtypeStruct(shape, np.float32) for shape in (inputs, kernel))


def algorithms(case):
    for algorithm in ("auto", *choose.CONV_ALGORITHMS):
        try:
            jax.eval_shape(*called(case, algorithm))
        except ValueError:
            continue
        yield algorithm


@pytest.mark.parametrize("case", CASES)
def test_no_amount_is_negative(case):
    for algorithm in algorithms(case):
        conv, *shapes = called(case, algorithm)
        found = amounts(derivatives(conv), *shapes)
        assert found or algorithm != "direct"
        assert all(min(pair) >= 0 for padding in found for pair in padding), (algorithm, found)


GENERAL = {
    "channels first": ((2, 4, 7, 6), (6, 4, 3, 2), {}),
    "batch groups": (
        (7, 6, 4, 3), (3, 2, 6, 3),
        dict(batch_group_count=2, dimension_numbers=("HWNC", "HWOI", "CWHN")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("lhs_dilation", [(1, 1), (2, 3)])
@pytest.mark.parametrize("padding", [((-1, 1), (5, -2)), ((4, 0), (0, 0))])
@pytest.mark.parametrize("case", GENERAL)
def test_no_amount_is_negative_in_any_dimension_numbers(case, padding, lhs_dilation):
    lhs, rhs, options = GENERAL[case]

    def conv(lhs, rhs):
        function = afresh(functional.conv_general_dilated)
        return function(lhs, rhs, (3, 2), padding, lhs_dilation, (1, 2), **options)

    shapes = [jax.ShapeDtypeStruct(shape, np.float32) for shape in (lhs, rhs)]
    found = amounts(derivatives(conv), *shapes)
    assert found and all(min(pair) >= 0 for padding in found for pair in padding)


def negative_in(text):
    """Windows with a negative amount in StableHLO or HLO."""
    windows = re.findall(r"pad = \[.*?\]\]|\bpad=[-\dx_]+", text)
    assert windows
    return [window for window in windows if "-" in window]


@pytest.mark.parametrize("case", ["mixed", "kernel larger"])
def test_no_amount_is_negative_in_the_program_nor_after_its_compiler(case):
    conv, *shapes = called(case, "auto")
    batched = [jax.ShapeDtypeStruct((2, *s.shape), s.dtype) for s in shapes]
    lowered = jax.jit(jax.vmap(derivatives(conv))).lower(*batched)
    assert not negative_in(lowered.as_text())
    # XLA exchanges inputs and kernel where the kernel is larger
    assert not negative_in(jax.jit(derivatives(conv)).lower(*shapes).compile().as_text())


def test_one_place_asks_for_convolutions():
    asking = [
        path.name
        for path in pathlib.Path(jaxcnn.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and re.fullmatch(r"lax\.conv(_\w+)?", ast.unparse(node.func))
        and node.func.attr != "conv_dimension_numbers"
    ]
    assert asking == ["xla_conv.py"]


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_other_platforms_get_the_amounts_as_they_are_asked_for(platform):
    """cuDNN takes equal amounts on both sides alone: (1, 0) would cost a pass over the input."""
    conv = functools.partial(functional.conv, strides=2, padding=1, algorithm="direct")
    shapes = [jax.ShapeDtypeStruct(s, np.float32) for s in ((2, 8, 6, 3), (3, 3, 3, 4))]
    exported = jax.export.export(jax.jit(conv), platforms=[platform])(*shapes)
    assert "pad = [[1, 1], [1, 1]]" in exported.mlir_module()


@pytest.mark.parametrize("case", ["one output", "padding alone", "inputs dilated, cropped"])
def test_values_where_little_is_read(case, rng):
    inputs, kernel, options = CASES[case]
    inputs, kernel = rng.standard_normal(inputs), rng.standard_normal(kernel)
    expected = jaxcnn.reference.conv(inputs, kernel, **options)
    cotangent = rng.standard_normal(expected.shape)
    gradients = jaxcnn.reference.conv_vjp(cotangent, inputs, kernel, **options)[:2]

    @jax.jit
    def run(inputs, kernel, cotangent):
        outputs, pullback = jax.vjp(called(case, "direct")[0], inputs, kernel)
        return outputs, *pullback(cotangent)

    for ours, right in zip(run(inputs, kernel, cotangent), (expected, *gradients), strict=True):
        np.testing.assert_allclose(ours, right, atol=1e-12)
