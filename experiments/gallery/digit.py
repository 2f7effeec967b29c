"""What a page needs to read a digit drawn in it: the weights of a LeNet-5, and digits to show."""

import base64
from typing import Any

import numpy as np
from flax import nnx

_RIGHT, _WRONG = 10, 16  # digits to show


def weights(model: nnx.Module) -> dict[str, Any]:
    """All parameters as 32-bit floats: shapes by name, and one base64 of all in that order."""
    parts = {**_layers(model, "features", 2, "conv"), **_layers(model, "classifier", 3, "fc")}
    packed = b"".join(array.astype("<f4").tobytes() for array in parts.values())
    shapes = {name: list(array.shape) for name, array in parts.items()}
    return {"shapes": shapes, "packed": base64.b64encode(packed).decode()}


def examples(
    pixels: np.ndarray, labels: np.ndarray, probabilities: np.ndarray
) -> list[dict[str, Any]]:
    """One digit of each kind that is read right, and the misread ones of which it is surest.

    Args:
      pixels: `(n, 28, 28, 1)`, bytes.
      labels: `(n,)`.
      probabilities: `(n, 10)`, the network's.
    """
    taken = probabilities.argmax(-1)
    sure = probabilities.max(-1)
    right = [
        found[sure[found].argmax()]
        for digit in range(10)
        if len(found := np.flatnonzero((labels == digit) & (taken == digit)))
    ]
    wrong = np.flatnonzero(labels != taken)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")][:_WRONG]
    return [
        {
            "pixels": base64.b64encode(
                np.ascontiguousarray(pixels[n], np.uint8).tobytes()
            ).decode(),
            "label": int(labels[n]),
            "taken": int(taken[n]),
        }
        for n in [*right[:_RIGHT], *wrong]
    ]


def _layers(model: Any, part: str, count: int, stem: str) -> dict[str, np.ndarray]:
    found = {}
    for number in range(1, count + 1):
        layer = getattr(getattr(model, part), f"{stem}{number}")
        for name in ("kernel", "bias"):
            found[f"{stem}{number}_{name}"] = np.asarray(getattr(layer, name)[...], np.float32)
    return found
