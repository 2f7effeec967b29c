"""Are the results of two candidates the same?"""

from collections.abc import Sequence

import numpy as np

from experiments.benchmark.programs import EPOCH, SCAN, STEP

# Allowed difference as a share of the largest value: what sums of some ten thousand rounded terms
# differ by when they are added up in another order.
TOLERANCES = {
    "float64": 1e-11,
    "float32": 1e-4,
    "tf32": 2e-2,
    "bfloat16": 4e-2,
    "float16": 1e-2,
}
# Of networks it may be so many times as much, by the mode: here and there rounding decides on which
# side of its kink a ReLU lies, or which of two nearly equal pixels a max pool takes, and the
# gradient goes another way from there. A step of MobileNetV2 in float32 differs by up to 9e-4 from
# one in float64, depending on the images. After 12 steps of LeNet-5 two networks in float32 differ
# by 1e-7, after 31 by 1e-3, where those in float64 still agree to 3e-16.
MODEL_FACTORS = {STEP: 20, SCAN: 100, EPOCH: 100}


def difference(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest difference between two lists of arrays, each as a share of its largest value.

    Infinite where shapes differ or only one of the two has a NaN.
    """
    if [a.shape for a in found] != [a.shape for a in expected]:
        return np.inf
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        wide = np.complex128 if np.iscomplexobj(other) else np.float64
        one, other = np.asarray(one, wide), np.asarray(other, wide)
        if not np.array_equal(np.isnan(one), np.isnan(other)):
            return np.inf
        if one.size:
            scale = max(float(np.nanmax(np.abs(other))), np.finfo(np.float32).tiny)
            worst = max(worst, float(np.nanmax(np.abs(one - other))) / scale)
    return worst
