"""Draws every picture of `jaxcnn.visualize` into a folder, and one page that explains them.

    python -m experiments.gallery                       trains LeNet-5 for a few epochs first
    python -m experiments.gallery --run runs/lenet-...  takes a network that is trained
    python -m experiments.gallery --no-trained          needs no data

`index.html` in the folder holds everything and loads nothing: it can be sent and opened anywhere.
"""

from experiments.commands import command
from experiments.commands.command import UserError, extra, require

with extra("experiments"):
    import contextlib
    import dataclasses
    import sys
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Any

    import jax.numpy as jnp
    import numpy as np

    from experiments.gallery import page, trained
    from experiments.gallery.pictures import SECTIONS, Picture, Section
    from experiments.training.runs import new_folder
    from jaxcnn import functional, visualize

DPI = 150  # of the pictures


@dataclasses.dataclass(frozen=True)
class Options:
    """Draws every picture into a folder, with one page that explains them."""

    folder: Path | None = None
    """Where everything goes; runs/gallery-DATE-TIME when left out."""
    run: Path | None = None
    """Run folder of experiments.lenet whose network is drawn; one is trained when left out."""
    epochs: int = 5
    """Passes over the training images when one is trained."""
    trained: bool = True
    """Whether to draw a trained network at all."""
    data_dir: Path = Path("~/.cache/jaxcnn")
    """Folder of the data sets, prepared there when absent."""
    readme: bool = False
    """Only draws the two pictures of the READMEs anew."""

    def __post_init__(self):
        require(self.epochs >= 1, "epochs", self.epochs, "must be 1 or more")
        if not self.trained:
            require(self.run is None, "run", self.run, "does not go with --no-trained")


def main(options: Options) -> None:
    """Draws what the options ask for."""
    if options.readme:
        draw_readme(Path(__file__).parent / "pictures")
        return
    folder = options.folder or new_folder("gallery")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    sections: Sequence[Section] = SECTIONS
    named: dict[str, Any] = {}
    if options.trained:
        sections = (*SECTIONS, trained.SECTION)
        named = trained.names(folder, options.run, options.epochs, options.data_dir)
    count = 0
    for section in sections:
        for picture in section.pictures:
            draw(picture, folder, named)
            count += 1
        print(f"{section.title}: {len(section.pictures)} pictures", flush=True)
    with writing(folder):
        (folder / "index.html").write_text(page.render(sections, folder), encoding="utf-8")
    size = (folder / "index.html").stat().st_size
    print(f"{count} pictures; open {folder / 'index.html'} ({size / 1e6:.1f} MB)")


def draw(picture: Picture, folder: Path, named: dict[str, Any]) -> None:
    """Evaluates the call of a picture and writes its files."""
    noise = np.random.default_rng(0).normal(size=(4, 25, 25, 1)).astype(np.float32)
    known = {
        "F": functional,
        "folder": folder,
        "noise": noise,
        "ones": jnp.ones((3, 3, 1, 1)),
        "visualize": visualize,
    }
    with writing(folder):
        figure = eval(picture.call, known | named)  # our own text, see pictures.py
        figure.savefig(folder / f"{picture.name}.png", dpi=DPI)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what goes wrong on the disk into one message."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot write to {folder} ({reason}); choose another --folder") from None


def draw_readme(folder: Path) -> None:
    """The two pictures of the READMEs: small files, which are kept with the code."""
    with writing(folder):
        folder.mkdir(exist_ok=True)
        visualize.sliding_window(
            "conv",
            (5, 5),
            (3, 3),
            strides=2,
            padding=1,
            step=0,
            numbers=True,
            animation=folder / "sliding_window.gif",
        )
        figure = visualize.pool_gradient(
            "max_pool", [[8, 6, 5, 2], [3, 0, 1, 0], [1, 7, 6, 9], [5, 6, 2, 4]], (2, 2), 2
        )
        figure.savefig(folder / "pool_gradient.png", dpi=90)
    for path in sorted(folder.iterdir()):
        print(f"{path} ({path.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    sys.exit(command.run("python -m experiments.gallery", {"draw": (Options, main)}))
