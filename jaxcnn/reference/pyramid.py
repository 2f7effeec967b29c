"""Spatial pyramid pooling, and its gradient derived by hand."""

from collections.abc import Sequence

import numpy as np

from jaxcnn.reference import adaptive

Levels = Sequence[tuple[int, ...]]


def spatial_pyramid_pool(inputs: np.ndarray, levels: Levels, *, reducer: str = "max") -> np.ndarray:
    """Pools adaptively to each level's bins and concatenates all of them.

        out = (P_1(x), P_2(x), ...),    P_l(x) = the adaptive pool of x to level l, flattened

    Args:
      inputs: `(*batch, *spatial, channels)`.
      levels: numbers of bins per axis, a tuple for each level.
      reducer: "max" or "avg".
    Returns:
      `(*batch, channels * sum of prod(level))` in float64.
    """
    pool = {"max": adaptive.adaptive_max_pool, "avg": adaptive.adaptive_avg_pool}[reducer]
    batch = np.shape(inputs)[: np.ndim(inputs) - len(levels[0]) - 1]
    channels = np.shape(inputs)[-1]
    parts = [pool(inputs, level).reshape((*batch, np.prod(level) * channels)) for level in levels]
    return np.concatenate(parts, -1)


def spatial_pyramid_pool_vjp(
    cotangent: np.ndarray, inputs: np.ndarray, levels: Levels, *, reducer: str = "max"
) -> tuple[np.ndarray]:
    """Pulls the cotangent of `spatial_pyramid_pool` back to the inputs.

    The levels read the same image side by side, so their gradients add up. With g_l the part of the
    cotangent that belongs to level l, and P_l' the pullback of its adaptive pool,

        dL/dx = sum over l of P_l'(g_l)

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `spatial_pyramid_pool`.
      levels: as for `spatial_pyramid_pool`.
      reducer: as for `spatial_pyramid_pool`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    pullback = {"max": adaptive.adaptive_max_pool_vjp, "avg": adaptive.adaptive_avg_pool_vjp}
    batch = np.shape(inputs)[: np.ndim(inputs) - len(levels[0]) - 1]
    channels = np.shape(inputs)[-1]
    gradient, start = np.zeros(np.shape(inputs)), 0
    for level in levels:
        end = start + int(np.prod(level)) * channels
        part = np.asarray(cotangent)[..., start:end].reshape((*batch, *level, channels))
        gradient = gradient + pullback[reducer](part, inputs, level)[0]
        start = end
    return (gradient,)
