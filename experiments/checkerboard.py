"""Deconvolution draws a checkerboard, and enlarging before convolving does not.

    python -m experiments.checkerboard

A transposed convolution whose stride does not divide its kernel's size adds up different numbers of
products at neighbouring pixels; and where it does, neighbours still meet different taps. The
pattern repeats with the stride s, so that all its energy lies at the frequencies m / s. For each
decoder this measures the share of an image's variance there:

    energy = variance of the s*s means, each over the pixels of one phase / variance of all pixels

of constant inputs, where any structure is an artefact, with equal and with random taps; and of
copies of handwritten digits while an autoencoder learns to make them.

Result (two shared cores of an AMD EPYC, Python 3.11, JAX 0.10.2; 116 s, 50 s of them CPU time):

                    equal taps   random taps   step 1   step 10   step 100   trained
    transposed 3x3       100 %         100 %   11.0 %    11.6 %      0.3 %     0.5 %
    transposed 4x4         0 %         100 %   20.5 %    18.0 %      0.2 %     0.5 %
    resized, 3x3           0 %           0 %    0.6 %     0.6 %      0.2 %     0.3 %
    the digits                                                                 0.5 %

On digits training takes the pattern away within 100 steps; it is where every training starts.

References: A. Odena, V. Dumoulin and C. Olah, Deconvolution and checkerboard artifacts, Distill,
2016.
"""

from experiments.commands import command, output
from experiments.commands.command import extra, require

with extra("experiments"):
    import dataclasses
    import functools
    import sys
    from pathlib import Path
    from typing import Any

    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    from flax import nnx
    from jax.typing import ArrayLike
    from matplotlib.figure import Figure

    from experiments.commands.phases import phase
    from experiments.data import DATA_DIR, load
    from experiments.training.network import scale
    from experiments.training.records import add_times
    from experiments.training.runs import Run, new_folder
    from experiments.training.short import learn
    from jaxcnn import nn
    from jaxcnn.visualize.figures import COLOURS

STRIDE = 4  # of two layers, each with 2
UPSAMPLING = {
    "transposed 3x3": lambda a, b, **options: nn.ConvTranspose(a, b, (3, 3), 2, **options),
    "transposed 4x4": lambda a, b, **options: nn.ConvTranspose(a, b, (4, 4), 2, **options),
    "resized, 3x3": lambda a, b, **options: nn.ResizeConv(a, b, (3, 3), scale=2, **options),
}
LOOKED_AT = (1, 10, 100)  # training steps, beside the last


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures the checkerboard of three ways to enlarge feature maps."""

    steps: int = 400
    """Of the autoencoder's training."""
    draws: int = 32
    """Random decoders that are averaged."""
    run: Path | None = None
    """Run folder to make; runs/checkerboard-DATE-TIME when left out."""
    data_dir: Path = DATA_DIR
    """Folder of the data sets."""

    def __post_init__(self):
        require(self.steps >= 1, "steps", self.steps, "must be 1 or more")
        require(self.draws >= 1, "draws", self.draws, "must be 1 or more")


def decoder(kind: str, rngs: nnx.Rngs, **options: Any) -> nn.Chain:
    """From `(h, w, 16)` to an image `(4h, 4w, 1)`."""
    up = UPSAMPLING[kind]
    layers = up(16, 8, rngs=rngs, **options), nn.Activation("relu"), up(8, 1, rngs=rngs, **options)
    return nn.Chain(**dict(zip(("up1", "relu", "up2"), layers, strict=True)))


def autoencoder(kind: str, rngs: nnx.Rngs) -> nn.Chain:
    """Digits through 16 maps of 7x7, and back."""
    return nn.Chain(
        down1=nn.ConvBlock(1, 8, (3, 3), 2, norm=None, rngs=rngs),
        down2=nn.ConvBlock(8, 16, (3, 3), 2, norm=None, rngs=rngs),
        decoder=decoder(kind, rngs),
    )


@functools.partial(jax.jit, static_argnames="stride")
def energy(images: ArrayLike, stride: int = STRIDE) -> jax.Array:
    """The share of the variance that repeats with the stride, averaged over images `(n, h, w)`."""
    n, height, width = images.shape
    phases = images.reshape(n, height // stride, stride, width // stride, stride).mean((1, 3))
    total = images.var((1, 2))
    # What is constant but for rounding has no structure.
    some = total > 1e-10 * jnp.square(images).mean((1, 2))
    return jnp.where(some, phases.var((1, 2)) / jnp.where(some, total, 1), 0).mean()


def untrained(kind: str, draws: int, **options: Any) -> np.ndarray:
    """What decoders make of a constant: `(draws, 32, 32)`, without the border."""

    @jax.jit
    @jax.vmap
    def image(key):
        return decoder(kind, nnx.Rngs(key), **options)(jnp.ones((16, 16, 16)))[..., 0]

    keys = jax.random.split(jax.random.key(0), draws)
    return np.asarray(image(keys))[:, 16:-16, 16:-16]


def mean_square(network: nnx.Module, images: jax.Array, _: jax.Array) -> jax.Array:
    """How far the copies are from the images."""
    return jnp.square(network(images) - images).mean()  # type: ignore[operator]


def main(options: Options) -> None:
    """Prints a line a decoder; writes energies.json and three pictures into the run folder."""
    with phase("data", "reading mnist5k"):
        data = load("mnist5k", data_dir=options.data_dir)
        images, labels = data.train.arrays()
        shown = scale(jnp.asarray(data.test.arrays()[0][:200]))
    run = Run.create(options.run or new_folder("checkerboard"), {"steps": options.steps})
    optimizer = optax.adam(optax.cosine_onecycle_schedule(options.steps, 5e-3))
    energies, curves = {}, {}
    constants, copies = {}, {"digits": np.asarray(shown[..., 0])}
    for kind in UPSAMPLING:
        with phase("test", f"decoding a constant: {kind}"):
            equal = untrained(kind, 1, kernel_init=nnx.initializers.ones)
            constants[kind] = untrained(kind, options.draws)
        network, _, curve = learn(
            lambda rngs, kind=kind: autoencoder(kind, rngs), images, labels, optimizer,
            steps=options.steps, batch_size=64, title=kind, loss=mean_square,
            watch=lambda network, batch: energy(network(batch)[..., 0]),
        )  # fmt: skip
        curves[kind] = curve
        with phase("test", f"copying digits: {kind}"):
            copies[kind] = np.asarray(nnx.jit(lambda net, x: net(x))(network, shown))[..., 0]
            energies[kind] = {"equal taps": energy(equal), "random taps": energy(constants[kind])}
            energies[kind] |= {
                f"step {step}": curve[step - 1] for step in LOOKED_AT if step <= len(curve)
            }
            energies[kind]["trained"] = energy(copies[kind])
    energies["digits"] = {"trained": energy(copies["digits"])}
    energies = {k: {n: float(v) for n, v in found.items()} for k, found in energies.items()}
    run.save_json("energies", energies)
    with phase("pictures", "drawing the pictures"):
        run.save_picture("constants", picture("random taps", constants, energies))
        run.save_picture("copies", picture("trained", copies, energies))
        run.save_picture("training", curve_picture(curves, energies["digits"]["trained"]))
    add_times(run)
    print(f"run folder {run.folder}\nshare of the variance at the stride's frequencies")
    for kind, found in energies.items():
        shares = (f"{name} {value:.2%}" for name, value in found.items())
        output.say("  ".join([f"{kind:15}", *shares]))


def curve_picture(curves: dict[str, np.ndarray], digits: float) -> Figure:
    """The energy while the autoencoders learn."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for colour, (kind, curve) in zip(COLOURS, curves.items(), strict=False):
        axes.plot(np.arange(1, len(curve) + 1), 100 * curve, color=colour, label=kind)
    axes.axhline(100 * digits, color="black", linestyle=":", label="the digits themselves")
    axes.set_xscale("log"), axes.set_yscale("log")
    axes.set_xlabel("training step")
    axes.set_ylabel("variance at the stride's frequencies (%)")
    axes.set_title("Copies of digits while an autoencoder learns to make them", fontsize=10)
    axes.grid(alpha=0.3), axes.legend()
    return figure


def picture(key: str, rows: dict[str, np.ndarray], energies: dict[str, dict[str, float]]) -> Figure:
    """A row a decoder, four images each, and the energy of that name."""
    figure = Figure(figsize=(6.6, 1.6 * len(rows) + 0.4), layout="constrained")
    grid = figure.subplots(len(rows), 4, squeeze=False)
    for axes, (kind, images) in zip(grid, rows.items(), strict=True):
        for ax, image in zip(axes, images[:4], strict=False):
            middle = image.mean()
            reach = max(np.abs(image - middle).max(), 1e-3 * abs(middle), 1e-9)
            limits = (0, 1) if key == "trained" else (middle - reach, middle + reach)
            ax.imshow(image, "gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
            ax.set_xticks([]), ax.set_yticks([])
        axes[0].set_ylabel(f"{kind}\n{energies[kind][key]:.1%}", fontsize=9)
    figure.suptitle(f"{key}: share of the variance that repeats with the stride", fontsize=10)
    return figure


if __name__ == "__main__":
    commands = {"measure": (Options, main)}
    sys.exit(command.run("python -m experiments.checkerboard", commands, took="50 s of CPU"))
