"""The annotations of public functions hold: beartype checks every call of the gradient tables."""

import functools
import inspect

import beartype
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError, jaxtyped

from jaxcnn import functional
from jaxcnn.testing import primitives

# As for a type checker, an int is a float.
check = functools.partial(
    jaxtyped, typechecker=beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))
)


def in_jax(value):
    """NumPy's arrays as JAX's, which the annotations name."""
    return jnp.asarray(value) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("name", primitives())
def test_every_call_of_the_tables(name, monkeypatch):
    function, calls = getattr(functional, name), []

    @functools.wraps(function)
    def checked(*args, **options):
        calls.append(check(function)(*args, **options))
        return calls[-1]

    monkeypatch.setattr(functional, name, checked)
    cases = primitives()[name].cases.values()
    for case in cases:
        call = checked if case.fn.func is function else case.fn.func
        options = {key: in_jax(value) for key, value in case.options.items()}
        arrays = [draw(np.random.default_rng(0), np.dtype(np.float32)) for draw in case.draws]
        jax.eval_shape(functools.partial(call, **options), *arrays)
    assert len(calls) == len(cases)


@pytest.mark.parametrize("name", functional.__all__)
def test_everything_is_annotated(name):
    signature = inspect.signature(getattr(functional, name))
    kinds = [parameter.annotation for parameter in signature.parameters.values()]
    assert inspect.Signature.empty not in (*kinds, signature.return_annotation)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([[1.0]], jnp.ones((3, 1, 1))), "parameter 'inputs'"),
        ((jnp.ones((5, 2)), jnp.ones((3, 2, 4)), jnp.ones(3)), "parameter 'bias'"),
        ((jnp.ones((5, 2)), jnp.ones((3, 2, 4)), None, 2), "multiple values|too many positional"),
    ],
)
def test_a_wrong_call_is_found(arguments, message):
    with pytest.raises((TypeCheckError, TypeError), match=message):
        check(functional.conv)(*arguments)


def test_a_wrong_result_is_found():
    @functools.wraps(functional.conv)
    def transposed(inputs, kernel, **options):
        return functional.conv(inputs, kernel, **options).T

    with pytest.raises(TypeCheckError, match="return value"):
        check(transposed)(jnp.ones((5, 2)), jnp.ones((3, 2, 4)))
