"""Which networks have names of PyTorch's, and whose."""

from typing import Any

from flax import nnx

from jaxcnn.models._torch import more_names, names

NETWORKS = {**names.NETWORKS, **more_names.NETWORKS}


def network(model: Any) -> type[nnx.Module] | None:
    """Which of the networks it is, itself or by a class made from one."""
    return next((kind for kind in type(model).__mro__ if kind in NETWORKS), None)
