"""What is compiled for a row: the function itself, with its gradient, as a step, in a scan."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

FORWARD = "forward"
BOTH = "forward + backward"
STEP = "step"
SCAN = "step in a scan"
EPOCH = "epoch in a scan"
FULL = (BOTH, STEP, EPOCH)  # with a backward pass, outside of a scan or alone

SMALL = 1e-6  # how far a step moves, so that no iteration repeats the one before

Function = Callable[..., Any]
Arrays = Sequence[jax.Array]


def program(suite: str, mode: str, function: Function, length: int) -> Function:
    """The function to be jitted, of the row's arrays; a primitive's gradient takes a cotangent too.

    Args:
      suite: of the row.
      mode: one of the above.
      function: by this library or a peer.
      length: iterations in the scan.
    """
    if suite == "models":
        return _scanned_model(function, length) if mode == SCAN else function
    return {
        FORWARD: function,
        BOTH: with_gradient(function),
        STEP: _primitive_step(function),
        SCAN: _scanned_primitive(function, length),
    }[mode]


def arguments(
    suite: str, mode: str, arrays: Arrays, cotangent: jax.Array | None
) -> list[jax.Array]:
    """What that function takes."""
    return [*arrays] if suite == "models" or mode == FORWARD else [*arrays, cotangent]


def with_gradient(function: Function) -> Function:
    """(*arrays, cotangent) -> the output, and the gradient for each array of floats."""

    def run(*given):
        *arrays, cotangent = given
        moved = [a for a in arrays if _floating(a)]

        def of_floats(*floats):
            rest = iter(floats)
            return function(*(next(rest) if _floating(a) else a for a in arrays))

        outputs, pullback = jax.vjp(of_floats, *moved)
        return outputs, *pullback(cotangent)

    return run


def _primitive_step(function: Function) -> Function:
    """(*arrays, cotangent) -> (arrays moved along the gradient of a loss, that loss).

    The loss weighs the outputs by the cotangent and adds a little of their square: the gradient
    waits for the forward pass and, in a scan, each iteration for the one before, so that nothing
    can be taken out of the loop. As in training, no result needs what another one has overwritten,
    which a loop would have to copy first. The loss is returned because a loop that neither sums nor
    multiplies matrices is compiled for a single thread by JAX 0.12, however large it is.
    """

    def step(*given):
        *arrays, cotangent = given
        moved = [place for place, array in enumerate(arrays) if _floating(array)]

        def loss(*arrays):
            outputs = function(*arrays)
            return jnp.sum(outputs * cotangent + SMALL / 2 * outputs * outputs)

        value, gradients = jax.value_and_grad(loss, moved)(*arrays)
        for place, gradient in zip(moved, gradients, strict=True):
            arrays[place] = arrays[place] + SMALL * gradient
        return arrays, value

    return step


def _scanned_primitive(function: Function, length: int) -> Function:
    step = _primitive_step(function)

    def run(*given):
        *arrays, cotangent = given
        return lax.scan(lambda carry, _: step(*carry, cotangent), arrays, length=length)

    return run


def _scanned_model(function: Function, length: int) -> Function:
    """`length` steps on the same images, each from the parameters that the one before left."""

    def run(images, labels, *parameters):
        def step(parameters, _):
            _, *moved = function(images, labels, *parameters)
            return tuple(moved), None

        return lax.scan(step, parameters, length=length)[0]

    return run


def _floating(array: jax.Array) -> bool:
    return jnp.issubdtype(array.dtype, jnp.inexact)
