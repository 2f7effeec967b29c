"""Which algorithm a pool takes, for its plan."""

from jaxcnn._checks import options
from jaxcnn._planning.plan import Choice, unless_asked_for
from jaxcnn.geometry import Windows
from jaxcnn.lowering import choose


def max_choice(windows: Windows, fill_mode: str | None, algorithm: object) -> Choice:
    """What a max pool's algorithm is by the platform, and why; refuses an unknown one."""
    name = options.choice("algorithm", algorithm, ("auto", *choose.MAX_POOL_ALGORITHMS))
    where = windows if fill_mode is None else windows.padded()
    choose.refuse_unsupported_max_pool(where, name)
    return unless_asked_for(name, lambda platform: choose.max_pool_choice(platform, where))


def sum_choice(windows: Windows, fill_mode: str | None, algorithm: object) -> Choice:
    """What a sum pool's algorithm is by the platform, and why; refuses an unknown one."""
    name = options.choice("algorithm", algorithm, ("auto", *choose.SUM_POOL_ALGORITHMS))
    where = windows if fill_mode is None else windows.padded()
    return unless_asked_for(name, lambda platform: choose.sum_pool_choice(platform, where))
