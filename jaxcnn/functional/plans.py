"""What a call would do, without doing it."""

from collections.abc import Callable
from typing import Any

import jax

from jaxcnn import functional
from jaxcnn._checks.naming import named
from jaxcnn._planning.plan import Plan


@named
def plan(function: str | Callable[..., Any], *args: Any, **kwargs: Any) -> Plan:
    """Plans a call of a function of this package: checks it and works it out, and runs nothing.

    Args:
      function: one of this package, or its name.
      *args: what it is called with; a `jax.ShapeDtypeStruct` may stand for an array.
      **kwargs: likewise.
    Returns:
      A hashable value that prints as what would be done: the shapes, where the windows lie, how
      much is padded and with what, and which algorithm each platform would take and why. It is
      equal to the plan of the same call written in another way; equal plans share one program.
      `operands`, `outputs`, `options` and `algorithms` hold the same for programs.
    Raises:
      ValueError: as the function; or there is no such function.
      TypeError: as the function.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> images = jax.ShapeDtypeStruct((8, 32, 32, 3), jnp.float32)
      >>> F.plan("max_pool", images, (3, 3), strides=2, padding="SAME")
      max_pool
        inputs   (8, 32, 32, 3) float32
        outputs  (8, 16, 16, 3) float32
        windows  3x3, strides 2x2, padding ((0, 1), (0, 1))
        largest  True
        on cpu   shift: selects over shifted slices, whose gradient scatters nothing
        on cuda  at_once: all taps in one kernel, which moves each array once
        on tpu   native: all on the chip at once: select-and-scatter is built in
      >>> kernel = jnp.ones((3, 3, 3, 16))
      >>> F.plan("conv", images, kernel) == F.plan(
      ...     F.conv, images, kernel, padding=1, strides=(1, 1)
      ... )
      True
    """
    name = getattr(function, "__name__", function)
    found: Any = getattr(functional, name, None) if isinstance(name, str) else None
    if name not in functional.__all__ or not hasattr(found, "prepare"):
        raise ValueError(
            f"`function` (={name!r}) must be a function of jaxcnn.functional, or its name"
        )
    given: dict[Any, Any] = dict(enumerate(args)) | kwargs
    stand_ins = {n: value for n, value in given.items() if isinstance(value, jax.ShapeDtypeStruct)}
    made = []

    def trace(*arrays: jax.Array) -> None:
        values = given | dict(zip(stand_ins, arrays, strict=True))
        positional = [values.pop(place) for place in range(len(args))]
        made.append(found.prepare(*positional, **values)[0])

    jax.eval_shape(trace, *stand_ins.values())
    return made[0]
