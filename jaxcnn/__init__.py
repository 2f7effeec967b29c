"""Convolution, dilation and pooling on JAX, exact in every corner.

The packages load when first used: `jaxcnn.reference` and `jaxcnn.geometry` never import JAX.
"""

import importlib

__version__ = "0.1.0"

_PACKAGES = (
    "analysis",
    "functional",
    "geometry",
    "models",
    "nn",
    "reference",
    "sharding",
    "testing",
    "visualize",
)


def __getattr__(name: str):
    if name in _PACKAGES:
        return importlib.import_module(f"jaxcnn.{name}")
    raise AttributeError(f"module 'jaxcnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted((*globals(), *_PACKAGES))
