"""The classifier that AlexNet and VGG share: three fully connected layers with dropout."""

from typing import Any

from jaxcnn import geometry, nn
from jaxcnn.models import _network


def head(
    names: tuple[str, ...],
    sizes: tuple[int, int, int],
    num_classes: int,
    hidden_features: int,
    dropout: float,
    options: dict[str, Any],
) -> nn.Chain:
    """Pools to a fixed size, flattens and classifies.

    Args:
      names: the order of the layers, which is not the same in the two networks.
      sizes: (height, width, channels) after the pool.
      num_classes: number of outputs.
      hidden_features: outputs of the two hidden layers.
      dropout: share of activations set to 0 in training.
      options: dtype, param_dtype and rngs.
    """
    wide = geometry.whole_number("hidden_features", hidden_features, 1)
    rate = _network.fraction("dropout", dropout)
    *pooled, channels = sizes
    layers: dict[str, Any] = {
        "fc1": _network.linear(sizes[0] * sizes[1] * channels, wide, **options),
        "fc2": _network.linear(wide, wide, **options),
        "fc3": _network.linear(wide, num_classes, **options),
        "relu1": nn.Activation("relu"),
        "relu2": nn.Activation("relu"),
    }
    for index in (1, 2):
        layers[f"dropout{index}"] = _network.dropout(rate, options["rngs"])
    chosen = {name: layers[name] for name in names}
    return nn.Chain(pool=nn.AdaptiveAvgPool(tuple(pooled)), flatten=nn.Flatten(), **chosen)
