"""Makes one call again and checks it: `from tests.fuzz.replay import *`, then paste the line.

>>> from tests.fuzz.replay import *
>>> replay("dilate", {"inputs": Values(shape=(2, 3, 1), dtype="float32", seed=7), "rate": (2,)})
'valid: agrees with the reference'
>>> replay("dilate", {"inputs": Values(shape=(2, 3, 1), dtype="float32", seed=7), "rate": (0,)})
'refused: dilate: `rate` (=0) must be at least 1'
"""

from collections.abc import Mapping
from math import inf, nan
from typing import Any

import jax

from tests.fuzz import (  # noqa: F401  these register what is drawn
    drawn_convolutions,
    drawn_others,
    drawn_pools,
    drawn_transposed,
    peers,
)
from tests.fuzz.calls import Call, Traced, Values
from tests.fuzz.checking import Checker, Disagreement, refusal
from tests.fuzz.poison import allocator
from tests.fuzz.poison.repeated import Repeated

__all__ = ["Traced", "Values", "inf", "nan", "poisoned", "replay"]


def replay(primitive: str, arguments: Mapping[str, Any], **expected: Any) -> str:
    """Checks a call as `python -m tests.fuzz` does, with 64 bits and strict promotion.

    Args:
      primitive: a function of `jaxcnn.functional`.
      arguments: all of them by name, `Values` for arrays.
      **expected: `out` and `pads`, as in `Call`.
    Returns:
      What came of it.
    Raises:
      Disagreement: it was neither refused as the contract says, nor does it agree with the
        reference, or with PyTorch where that is installed.
    """
    call, checker = Call(primitive, arguments, **expected), Checker()
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        try:
            return f"refused: {refusal(call)}"
        except Disagreement as error:
            if "went through" not in str(error):
                raise
        checker.agree(call)
        also = " and with PyTorch" if peers.INSTALLED and peers.agree(call, checker) else ""
    return f"valid: agrees with the reference{also}"


def poisoned(primitive: str, arguments: Mapping[str, Any], **expected: Any) -> str:
    """Checks a call as `python -m tests.fuzz poison` does; name it first in a program.

    Args:
      primitive: a function of `jaxcnn.functional`.
      arguments: all of them by name, `Values` for arrays.
      **expected: `out` and `pads`, as in `Call`.
    Returns:
      What came of it.
    Raises:
      Disagreement: its bits change with what lies around it, or it differs from the reference.
    """
    allocator.prepare()
    Checker(Repeated).agree(Call(primitive, arguments, **expected))
    return "valid: the same bits in poisoned memory, as the reference says"
