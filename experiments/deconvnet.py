"""What the feature maps of LeNet-5 look for, by a deconvnet.

    python -m experiments.deconvnet

After Zeiler and Fergus: for each map the test images are found that excite one of its units most.
The network is then run backwards from that unit alone: pools send their values back to where the
maxima were, ReLUs let through what is positive, convolutions are transposed. What arrives at the
pixels is what excited the unit; everything else in the image stays grey.

Result (two shared cores of an AMD EPYC, Python 3.11, JAX 0.10.2; 105 s, 31 s of them CPU time): a
network of 98.0 % on the test digits. The maps of the first convolution see 5x5 pixels: strokes and
edges. Those of the second see 14x14: bends, ends, loops and pairs of lines. The projections from
the four images that excite the same map of the second correlate by 0.77 on average.

References: M. D. Zeiler and R. Fergus, Visualizing and understanding convolutional networks, 2014.
"""

from experiments.commands import command
from experiments.commands.command import extra, require

with extra("experiments"):
    import dataclasses
    import sys
    from pathlib import Path

    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    from flax import nnx
    from matplotlib.figure import Figure

    from experiments.commands.phases import phase
    from experiments.data import DATA_DIR, load
    from experiments.training.network import scale
    from experiments.training.records import add_times
    from experiments.training.runs import Run, new_folder
    from experiments.training.short import accuracy, learn
    from jaxcnn import analysis, nn
    from jaxcnn.models import LeNet5
    from jaxcnn.visualize.figures import hide_axes

LAYERS = {"conv1": "relu1", "conv2": "relu2"}  # the maps are looked at after their ReLU


@dataclasses.dataclass(frozen=True)
class Options:
    """Shows what excites the maps of both convolutions."""

    steps: int = 1200
    """Of the training, 64 images each."""
    most: int = 4
    """Images a map."""
    seed: int = 0
    """Of the training."""
    run: Path | None = None
    """Run folder to make; runs/deconvnet-DATE-TIME when left out."""
    data_dir: Path = DATA_DIR
    """Folder of the data sets."""

    def __post_init__(self):
        for name in ("steps", "most"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be 1 or more")


def up_to(features: nn.Chain, layer: str) -> nn.Chain:
    """The network whose outputs are the largest values of each map of a layer."""
    names = features.names[: features.names.index(layer) + 1]
    inner = {name: getattr(features, name) for name in names}
    return nn.Chain(**inner, largest=nn.GlobalMaxPool(spatial_axes=(-3, -2)))


def patches(
    features: nn.Chain, layer: str, images: jax.Array, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each map of a layer, the parts of images that excite it most, and their projections.

    Args:
      features: of the network.
      layer: after which the maps are taken.
      images: `(n, height, width, 1)`.
      most: images a map.
    Returns:
      Both `(maps, most, size, size)`, cut to what one unit sees.
    """
    probe = up_to(features, layer)
    part = nn.Chain(**{name: getattr(probe, name) for name in probe.names[:-1]})
    values = np.asarray(nnx.jit(lambda net, x: net(x))(part, images))
    field = analysis.receptive_field(part, images)
    size = field.size[0]

    @jax.jit
    def project(image, channel):
        return analysis.deconvnet(probe, image[None], target=channel)[0]

    shown, projected = [], []
    for channel in range(values.shape[-1]):
        best = values[..., channel].max((1, 2)).argsort()[::-1][:most]
        for index in best:
            unit = np.unravel_index(values[index, ..., channel].argmax(), values.shape[1:3])
            start = [a + i * s for a, i, s in zip(field.start, unit, field.strides, strict=True)]
            image = images[index]
            for array, kept in ((image, shown), (project(image, channel), projected)):
                wide = np.pad(np.asarray(array)[..., 0], size)
                row, column = (first + size for first in start)
                kept.append(wide[row : row + size, column : column + size])
    shape = (values.shape[-1], len(best), size, size)
    return np.reshape(shown, shape), np.reshape(projected, shape)


def main(options: Options) -> None:
    """Writes conv1.png and conv2.png into the run folder."""
    with phase("data", "reading mnist5k"):
        data = load("mnist5k", data_dir=options.data_dir)
    settings = {"steps": options.steps, "most": options.most, "seed": options.seed}
    run = Run.create(options.run or new_folder("deconvnet"), settings)
    network, _, _ = learn(
        lambda rngs: LeNet5(rngs=rngs), *data.train.arrays(),
        optax.adamw(optax.cosine_onecycle_schedule(options.steps, 3e-3), weight_decay=1e-2),
        steps=options.steps, batch_size=64, seed=options.seed,
    )  # fmt: skip
    images, labels = data.test.arrays()
    print(f"run folder {run.folder}")
    print(f"test accuracy {accuracy(network, images, labels):.2%}")
    for name, layer in LAYERS.items():
        with phase("test", f"looking for what excites {name}"):
            found = patches(network.features, layer, scale(jnp.asarray(images)), options.most)
        with phase("pictures", f"drawing {name}"):
            run.save_picture(name, picture(name, *found))
        kept = np.mean([_alike(projected) for projected in found[1]])
        size = found[0].shape[-1]
        print(f"{name}: {len(found[0])} maps, each sees {size}x{size} pixels")
        print(f"  correlation of the projections of one map, from several images: {kept:.2f}")
    add_times(run)


def _alike(projected: np.ndarray) -> float:
    """The mean correlation of each two projections `(most, size, size)`."""
    flat = projected.reshape(len(projected), -1)
    flat = flat[flat.std(-1) > 0]
    if len(flat) < 2:
        return 0.0
    pairs = np.corrcoef(flat)[np.triu_indices(len(flat), 1)]
    return float(pairs.mean())


def picture(name: str, shown: np.ndarray, projected: np.ndarray) -> Figure:
    """A block a map: above the image parts, below what of them excites it."""
    maps, most, _, _ = shown.shape
    blocks = 2 if maps > 8 else 1
    rows, width = -(-maps // blocks), 2 * most + 1  # the first column holds the map's number
    height = 0.68 * rows + 0.5
    figure = Figure(figsize=(0.66 * width * blocks, height))
    figure.suptitle(f"{name}: image parts, and what of them excites the map", fontsize=10, y=0.98)
    grid = figure.subplots(rows, width * blocks, squeeze=False)
    figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.4 / height, 0.08, 0.08)
    for ax in grid.ravel():
        hide_axes(ax)
    for channel in range(maps):
        row, left = channel % rows, width * (channel // rows)
        grid[row, left].text(0.7, 0.5, str(channel), ha="center", va="center")
        reach = max(np.abs(projected[channel]).max(), 1e-9)
        for place in range(1, most + 1):
            part, back = grid[row, left + place], grid[row, left + most + place]
            part.imshow(shown[channel, place - 1], "gray_r", vmin=-0.1, vmax=1)
            back.imshow(projected[channel, place - 1], "PuOr_r", vmin=-reach, vmax=reach)
    return figure


if __name__ == "__main__":
    commands = {"show": (Options, main)}
    sys.exit(command.run("python -m experiments.deconvnet", commands, took="31 s of CPU"))
