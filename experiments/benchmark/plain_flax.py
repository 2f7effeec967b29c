"""The networks in plain Flax, as its own examples write them, under the same parameter names."""

import jax
from flax import nnx


class Layers(nnx.Module):
    """Layers by name."""

    def __init__(self, **layers: nnx.Module):
        for name, layer in layers.items():
            setattr(self, name, layer)


class LeNet5(nnx.Module):
    """What `jaxcnn.models.LeNet5` is."""

    def __init__(self, rngs: nnx.Rngs):
        self.features = Layers(
            conv1=nnx.Conv(1, 6, (5, 5), padding=2, rngs=rngs),
            conv2=nnx.Conv(6, 16, (5, 5), padding="VALID", rngs=rngs),
        )
        self.classifier = Layers(
            fc1=nnx.Linear(400, 120, rngs=rngs),
            fc2=nnx.Linear(120, 84, rngs=rngs),
            fc3=nnx.Linear(84, 10, rngs=rngs),
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.max_pool(nnx.relu(self.features.conv1(x)), (2, 2), (2, 2))
        x = nnx.max_pool(nnx.relu(self.features.conv2(x)), (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        x = nnx.relu(self.classifier.fc1(x))
        x = nnx.relu(self.classifier.fc2(x))
        return self.classifier.fc3(x)


class SmallVGG(nnx.Module):
    """What `jaxcnn.models.PatternCNN((32, 32, 3), stages=3, features=32)` is."""

    def __init__(self, rngs: nnx.Rngs):
        stages, channels = {}, 3
        for stage, features in enumerate((32, 64, 128), 1):
            stages[f"stage{stage}"] = Layers(
                conv1=nnx.Conv(channels, features, (3, 3), rngs=rngs),
                conv2=nnx.Conv(features, features, (3, 3), rngs=rngs),
            )
            channels = features
        self.features = Layers(**stages)
        self.classifier = Layers(
            fc1=nnx.Linear(4 * 4 * 128, 128, rngs=rngs), fc2=nnx.Linear(128, 10, rngs=rngs)
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        for stage in ("stage1", "stage2", "stage3"):
            layers = getattr(self.features, stage)
            x = nnx.relu(layers.conv2(nnx.relu(layers.conv1(x))))
            x = nnx.max_pool(x, (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        return self.classifier.fc2(nnx.relu(self.classifier.fc1(x)))
