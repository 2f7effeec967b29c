"""How often `lenet predict` is right, and how often it warns, by kinds of pictures.

    python -m experiments.doubts                 of the newest run of lenet
    python -m experiments.doubts --run runs/...

A picture is not to be trusted where more than a tenth of its strokes hangs together with no part of
the largest piece, where more than 65 % of what is drawn is neither paper nor stroke, or where the
network is less sure of its best guess than of all but 2 % of the digits that it was tested with.
The test digits, as dark on light pages, say how often that is wrong; the other pictures, which
`experiments.data.drawn` draws, how often it is right. Before: one brightness of the paper for the
whole page, and strokes as thin and as thick as they are.

Result (a run of `python -m experiments.lenet`, seed 0, of 98.50 %; 1,000 pictures a kind):

                     read correctly   before   doubted by the picture   warned of
    test digits              98.6 %   98.6 %                    0.7 %       4.2 %
    uneven light             97.8 %   53.6 %                    1.1 %       6.6 %
    thin strokes             97.1 %   96.5 %                    1.2 %       3.2 %
    thick strokes            96.4 %   89.8 %                    2.1 %       8.0 %
    several digits                                            100.0 %     100.0 %
    noise                                                      99.4 %     100.0 %
    photographs                                                68.9 %      95.2 %

The 53.6 % are of another run of the same command, of which 98.6 % are read now. Of thin strokes,
before they were drawn anew, 71.3 % were doubted by the picture.

The rule says nothing about letters and other signs of clear strokes, unless the network is unsure.
"""

from experiments.commands import command
from experiments.commands.command import UserError, extra, require

with extra("experiments"):
    import dataclasses
    import sys
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    from experiments.commands.phases import phase
    from experiments.data import DATA_DIR, load
    from experiments.data.digits import look
    from experiments.data.drawn import DIGITS, OTHERS
    from experiments.training.predict import Trained, doubtful, trained
    from experiments.training.runs import newest


@dataclasses.dataclass(frozen=True)
class Options:
    """Counts how often digits are read correctly, and how often pictures are not trusted."""

    run: Path | None = None
    """Run folder of lenet; the newest in runs/ when left out."""
    pictures: int = 1000
    """Of each kind."""
    seed: int = 0
    """Of the pictures."""
    data_dir: Path = DATA_DIR
    """Folder of the data sets."""

    def __post_init__(self):
        require(1 <= self.pictures <= 1000, "pictures", self.pictures, "must be 1 to 1,000")


def looked_at(pictures: list[np.ndarray]) -> tuple[np.ndarray, list[list[str]]]:
    """All pictures as digits, and the doubts about each; a blank one is black and doubted."""
    digits, doubts = [], []
    for picture in pictures:
        try:
            digit, reasons = look(picture)
        except UserError:
            digit, reasons = np.zeros((28, 28, 1), np.uint8), ["it is blank"]
        digits.append(digit)
        doubts.append(reasons)
    return np.stack(digits), doubts


def counted(
    network: Trained, digits: np.ndarray, labels: np.ndarray, draw: Callable, seed: int
) -> tuple[float, float, float]:
    """Shares: read correctly, doubted by the picture, doubted at all."""
    seen, doubts = looked_at(draw(digits, np.random.default_rng(seed)))
    probabilities = network.probabilities(seen)
    unsure = [
        bool(doubtful(p, network.inputs, reasons))
        for p, reasons in zip(probabilities, doubts, strict=True)
    ]
    right = probabilities.argmax(-1) == labels
    return float(right.mean()), float(np.mean([bool(d) for d in doubts])), float(np.mean(unsure))


def main(options: Options) -> None:
    """Prints a line a kind."""
    network = trained(options.run or newest("lenet"))
    with phase("data", "reading mnist5k"):
        images, labels = load("mnist5k", data_dir=options.data_dir).test.arrays()
    images, labels = images[: options.pictures], labels[: options.pictures]
    kinds, lines = {**DIGITS, **OTHERS}, []
    with phase("test", "looking at pictures", total=len(kinds)) as shown:
        for number, (name, draw) in enumerate(kinds.items()):
            shown.move(number, f"looking at {len(images):,} pictures: {name}", name)
            right, seen, warned = counted(network, images, labels, draw, options.seed)
            read = f"{right:.1%}" if name in DIGITS else ""
            lines.append(f"{name:15}  {read:>14}  {seen:>22.1%}  {warned:>9.1%}")
    print("\n".join([f"{'':15}  read correctly  doubted by the picture  warned of", *lines]))


if __name__ == "__main__":
    commands = {"count": (Options, main)}
    sys.exit(command.run("python -m experiments.doubts", commands, took="30 s of CPU"))
