"""A case by each algorithm of its primitive."""

import dataclasses
import functools
import inspect
from collections.abc import Iterator, Sequence

import jax
import numpy as np

from jaxcnn.lowering import choose
from jaxcnn.testing.registry import Case

ALGORITHMS = (*choose.CONV_ALGORITHMS, *(choose.MAX_POOL_ALGORITHMS | choose.SUM_POOL_ALGORITHMS))


def by_algorithm(case: Case, arrays: Sequence[np.ndarray]) -> Iterator[Case]:
    """The case by each algorithm that does not refuse it; none where there is no choice."""
    try:
        names = inspect.signature(case.fn).parameters
    except ValueError:  # of a builtin
        return
    if "algorithm" not in names or "algorithm" in case.options:
        return
    for name in dict.fromkeys(ALGORITHMS):
        by_name = functools.partial(case.fn, algorithm=name)
        try:
            jax.eval_shape(by_name, *arrays)
        except ValueError:  # refused: it does not take such a kernel, or the primitive not the name
            continue
        except Exception:  # a fault, which its row will show
            pass
        yield dataclasses.replace(case, name=f"{case.name} by {name}", fn=by_name)
