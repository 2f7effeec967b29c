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

SCAN_LENGTH = 8
SMALL = 1e-6  # how far a step moves, so that no iteration repeats the one before

Function = Callable[..., Any]
Arrays = Sequence[jax.Array]


def program(suite: str, mode: str, function: Function, length: int = SCAN_LENGTH) -> Function:
    """The function to be jitted, of the row's arrays; a primitive's gradient takes a cotangent too.

    Args:
      suite: of the row.
      mode: one of the above.
      function: by this library or a peer.
      length: iterations in the scan.
    """
    if suite == "models":
        return scanned(_model_step(function), length) if mode == SCAN else function
    return {
        FORWARD: function,
        BOTH: with_gradient(function),
        STEP: _primitive_step(function),
        SCAN: scanned(_primitive_step(function), length),
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
    """Moves every array a little along its gradient, and the cotangent along the output.

    In a scan, each iteration then depends on the one before: nothing can be taken out of the loop.
    """

    def step(*given):
        outputs, *gradients = with_gradient(function)(*given)
        directions = iter([*gradients, outputs])
        return tuple(a + SMALL * next(directions) if _floating(a) else a for a in given)

    return step


def _model_step(function: Function) -> Function:
    def step(images, labels, *parameters):
        _, *moved = function(images, labels, *parameters)
        return images, labels, *moved

    return step


def scanned(step: Function, length: int) -> Function:
    """`length` steps, each from where the one before arrived."""

    def run(*given):
        return lax.scan(lambda carry, _: (tuple(step(*carry)), None), given, None, length=length)[0]

    return run


def _floating(array: jax.Array) -> bool:
    return jnp.issubdtype(array.dtype, jnp.inexact)
