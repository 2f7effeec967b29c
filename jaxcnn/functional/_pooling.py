"""Which algorithm a pool takes, for its plan."""

import math

from jaxcnn._checks import options
from jaxcnn._planning.plan import Choice, Described, unless_asked_for
from jaxcnn.geometry import Windows
from jaxcnn.lowering import choices, choose
from jaxcnn.lowering.problem import Typed


def max_choice(windows: Windows, fill_mode: str | None, algorithm: object, inputs: Typed) -> Choice:
    """What a max pool's algorithm is by the platform, and why; refuses an unknown one."""
    name = options.choice("algorithm", algorithm, ("auto", *choose.MAX_POOL_ALGORITHMS))
    where = windows if fill_mode is None else windows.padded()
    choose.refuse_unsupported_max_pool(where, name)
    laid = (math.prod(inputs.shape[: -1 - where.rank]), *where.sizes, inputs.shape[-1])
    flat = Described(laid, inputs.dtype, False)
    return unless_asked_for(name, lambda platform: choices.max_pool_choice(platform, where, flat))


def sum_choice(windows: Windows, fill_mode: str | None, algorithm: object) -> Choice:
    """What a sum pool's algorithm is by the platform, and why; refuses an unknown one."""
    name = options.choice("algorithm", algorithm, ("auto", *choose.SUM_POOL_ALGORITHMS))
    where = windows if fill_mode is None else windows.padded()
    return unless_asked_for(name, lambda platform: choices.sum_pool_choice(platform, where))


def logsumexp_choice(windows: Windows, fill_mode: str | None, algorithm: object) -> Choice:
    """What a log-sum-exp pool's algorithm is by the platform, and why; refuses an unknown one."""
    name = options.choice("algorithm", algorithm, ("auto", *choose.LOGSUMEXP_ALGORITHMS))
    where = windows if fill_mode is None else windows.padded()
    return unless_asked_for(name, lambda platform: choices.logsumexp_choice(platform, where))
