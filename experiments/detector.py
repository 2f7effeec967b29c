"""A classifier reads the numbers on a large canvas in one pass.

    python -m experiments.detector

LeNet-5 learns digits as usual, and an eleventh class: windows that show no digit in their middle,
cut from canvases beside the digits. `jaxcnn.nn.convolutionalize` turns its fully connected layers
into convolutions. On a canvas it then gives eleven logits for every window of 28x28, four pixels
apart, and all windows share the work of the features. Of windows that overlap the surest is kept,
and neighbours on a line make a number.

Result (two shared cores of an AMD EPYC, Python 3.11, JAX 0.10.2; 112 s, 29 s of them CPU time):
single digits 97.1 % correct; of 274 digits on 10 canvases all are found, 98.9 % read correctly, and
none is seen where there is none.

References: P. Sermanet, D. Eigen, X. Zhang, M. Mathieu, R. Fergus and Y. LeCun, OverFeat:
integrated recognition, localization and detection using convolutional networks, 2014.
"""

from experiments.commands import command, output
from experiments.commands.command import extra, require

with extra("experiments"):
    import dataclasses
    import sys
    from pathlib import Path
    from typing import NamedTuple

    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    from flax import nnx
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    from experiments.commands.phases import phase
    from experiments.data import DATA_DIR, load
    from experiments.training.augment import move
    from experiments.training.network import scale
    from experiments.training.records import add_times
    from experiments.training.runs import Run, new_folder
    from experiments.training.short import accuracy, learn
    from jaxcnn import nn
    from jaxcnn.models import LeNet5

SIDE = 28
NOTHING = 10  # the eleventh class
STRIDES = 4  # of LeNet-5's features
APART = 12  # pixels: windows nearer to each other show the same digit
JOINED = 32  # pixels: digits nearer to each other on a line belong to one number
SURE = 0.2  # mean probability of a digit in nine windows from which they show one


@dataclasses.dataclass(frozen=True)
class Options:
    """Trains a classifier and reads canvases with it."""

    steps: int = 1200
    """Of the training, 64 images each."""
    canvases: int = 10
    """That are read; the first is drawn."""
    height: int = 160
    """Pixels of a canvas."""
    width: int = 352
    """Pixels of a canvas."""
    seed: int = 0
    """Of everything."""
    run: Path | None = None
    """Run folder to make; runs/detector-DATE-TIME when left out."""
    data_dir: Path = DATA_DIR
    """Folder of the data sets."""

    def __post_init__(self):
        for name in ("steps", "canvases"):
            value = getattr(self, name)
            require(value >= 1, name, value, "must be 1 or more")
        for name in ("height", "width"):
            value = getattr(self, name)
            require(value >= 4 * SIDE, name, value, f"must be {4 * SIDE} or more")


class Place(NamedTuple):
    """A digit on a canvas, by the middle of its window."""

    row: float
    column: float
    digit: int


def canvas(
    images: np.ndarray, labels: np.ndarray, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, list[Place]]:
    """Numbers of one to five digits on lines: bytes `(*shape, 1)`, and where each digit is."""
    height, width = shape
    sheet, places = np.zeros((height, width, 1), np.uint8), []
    top = int(rng.integers(4, 12))
    while top + SIDE + 4 <= height:
        left = int(rng.integers(4, 40))
        while left + SIDE + 4 <= width:
            for _ in range(rng.integers(1, 6)):
                if left + SIDE + 4 > width:
                    break
                row, chosen = top + int(rng.integers(-3, 4)), int(rng.integers(len(images)))
                window = sheet[row : row + SIDE, left : left + SIDE]
                np.maximum(window, images[chosen], out=window)
                places.append(Place(row + SIDE / 2, left + SIDE / 2, int(labels[chosen])))
                left += int(rng.integers(20, 25))
            left += int(rng.integers(24, 60))
        top += SIDE + int(rng.integers(10, 20))
    return sheet, places


def examples(
    images: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Windows of canvases around a digit, up to 2 pixels away, and as many that show none."""
    (moved,) = move(jax.random.key(int(rng.integers(2**31))), images, pixels=2)
    shown, classes = [np.asarray(moved)], [labels]
    wanted = {True: len(images), False: len(images)}
    while any(wanted.values()):
        sheet, places = canvas(images, labels, (160, 352), rng)
        middles = np.array([(p.row, p.column) for p in places])
        for near in (True, False):
            count = min(wanted[near], len(places))
            corners = _corners(middles, near, count, sheet.shape, rng)
            distance = np.abs(middles - (corners + SIDE / 2)[:, None]).max(-1)
            closest = distance.argmin(-1)
            shown.append(
                np.stack([sheet[y : y + SIDE, x : x + SIDE] for y, x in corners.astype(int)])
            )
            digits = np.array([places[i].digit for i in closest])
            classes.append(np.where(distance.min(-1) <= 2, digits, NOTHING))
            wanted[near] -= count
    every, target = np.concatenate(shown), np.concatenate(classes).astype(np.int32)
    return every, target


def _corners(middles, near, count, shape, rng):
    """Corners of windows within 2 pixels of a digit, or 8 pixels and more from all of them."""
    found = []
    while len(found) < count:
        if near:
            corner = middles[rng.integers(len(middles))] - SIDE / 2 + rng.integers(-2, 3, 2)
        else:
            corner = rng.integers(0, np.array(shape[:2]) - SIDE)
        inside = (corner >= 0).all() and (corner + SIDE <= shape[:2]).all()
        distance = np.abs(middles - (corner + SIDE / 2)).max(-1).min()
        if inside and (near or distance >= 8):
            found.append(corner)
    return np.array(found)


def read(probabilities: np.ndarray) -> list[Place]:
    """The digits of a canvas from what every window shows, `(rows, columns, 11)`.

    A digit is seen by several windows, some of them off its middle: their mean decides.
    """
    rows, columns, _ = probabilities.shape
    wide = np.pad(probabilities[..., :NOTHING], ((1, 1), (1, 1), (0, 0)))
    shifts = [wide[a : a + rows, b : b + columns] for a in range(3) for b in range(3)]
    digits = np.mean(shifts, axis=0)
    sure, found, reach = digits.sum(-1), [], APART // STRIDES
    while sure.max() > SURE:
        row, column = np.unravel_index(sure.argmax(), sure.shape)
        middle = [STRIDES * int(place) + SIDE / 2 for place in (row, column)]
        found.append(Place(*middle, int(digits[row, column].argmax())))
        sure[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1] = 0
    return found


def numbers(places: list[Place]) -> list[str]:
    """The numbers on a canvas, line by line."""
    lines: list[list[Place]] = []
    for place in sorted(places):
        if lines and place.row - np.mean([other.row for other in lines[-1]]) < SIDE / 2:
            lines[-1].append(place)
        else:
            lines.append([place])
    texts = []
    for line in lines:
        line = sorted(line, key=lambda place: place.column)
        gaps = [b.column - a.column > JOINED for a, b in zip(line, line[1:], strict=False)]
        words = [str(line[0].digit)]
        for gap, place in zip(gaps, line[1:], strict=True):
            words.append((" " if gap else "") + str(place.digit))
        texts.append("".join(words))
    return texts


def compare(found: list[Place], true: list[Place]) -> dict[str, int]:
    """How many digits there are, were found, were read correctly, and were seen where none is."""
    found, hits, right = list(found), 0, 0
    for place in true:
        near = [p for p in found if max(abs(p.row - place.row), abs(p.column - place.column)) < 10]
        if near:
            best = min(near, key=lambda p: abs(p.row - place.row) + abs(p.column - place.column))
            found.remove(best)
            hits, right = hits + 1, right + (best.digit == place.digit)
    return {"digits": len(true), "found": hits, "right": right, "false": len(found)}


def main(options: Options) -> None:
    """Prints what it reads; writes canvas.png and counts.json into the run folder."""
    with phase("data", "reading mnist5k"):
        data = load("mnist5k", data_dir=options.data_dir)
    settings = {"steps": options.steps, "seed": options.seed, "canvases": options.canvases}
    run = Run.create(options.run or new_folder("detector"), settings)
    rng = np.random.default_rng(options.seed)
    with phase("data", "cutting windows out of canvases"):
        images, labels = examples(*data.train.arrays(), rng)
    network, _, _ = learn(
        lambda rngs: LeNet5(NOTHING + 1, rngs=rngs), images, labels,
        optax.adamw(optax.cosine_onecycle_schedule(options.steps, 3e-3), weight_decay=1e-2),
        steps=options.steps, batch_size=64, seed=options.seed,
    )  # fmt: skip
    tested = data.test.arrays()
    print(f"run folder {run.folder}")
    print(f"single digits: test accuracy {accuracy(network, *tested):.2%}")
    reader = nn.convolutionalize(network)
    look = nnx.jit(lambda reader, x: jax.nn.softmax(reader(x)))
    totals = dict.fromkeys(("digits", "found", "right", "false"), 0)
    with phase("test", "reading canvases", total=options.canvases) as shown:
        for number in range(options.canvases):
            sheet, places = canvas(*tested, (options.height, options.width), rng)
            probabilities = np.asarray(look(reader, scale(jnp.asarray(sheet))))
            found = read(probabilities)
            for name, count in compare(found, places).items():
                totals[name] += count
            shown.move(number + 1, f"canvas {number + 1} of {options.canvases} is read")
            if not number:
                print("the first canvas reads:", *numbers(found), sep="\n  ")
                with phase("pictures", "drawing the first canvas"):
                    run.save_picture("canvas", picture(sheet, probabilities, found, places))
    run.save_json("counts", totals)
    add_times(run)
    share = {name: totals[name] / totals["digits"] for name in ("found", "right", "false")}
    output.say(
        f"{totals['digits']} digits on {options.canvases} canvases: {share['found']:.2%} found, "
        f"{share['right']:.2%} read correctly; {share['false']:.2%} seen where none is"
    )


def picture(sheet, probabilities, found: list[Place], true: list[Place]) -> Figure:
    """The canvas with what is read, and below it where a digit is seen."""
    height, width, _ = sheet.shape
    figure = Figure(figsize=(8, 14.6 * height / width + 0.7), layout="constrained")
    above, below = figure.subplots(2, 1)
    above.imshow(sheet[..., 0], "gray_r")
    wrong = 0
    for place in found:
        near = [t for t in true if abs(t.row - place.row) + abs(t.column - place.column) < 14]
        good = any(t.digit == place.digit for t in near)
        wrong += not good
        colour = "#009E73" if good else "#D55E00"
        corner = place.column - 9.5, place.row - 11.5
        above.add_patch(Rectangle(corner, 19, 23, fill=False, edgecolor=colour, linewidth=1.2))
        above.text(
            place.column + 8.5, place.row - 12, str(place.digit), color=colour, fontsize=8,
            ha="right", va="bottom", weight="bold",
        )  # fmt: skip
    above.set_title(f"{len(true)} digits, {len(found)} read, {wrong} of them wrong", fontsize=10)
    extent = (SIDE / 2 - 2, width - SIDE / 2 + 2, height - SIDE / 2 + 2, SIDE / 2 - 2)
    shown = below.imshow(1 - probabilities[..., NOTHING], "viridis", vmin=0, vmax=1, extent=extent)
    below.set_xlim(above.get_xlim()), below.set_ylim(above.get_ylim())
    below.set_title("probability of a digit in the middle of each window", fontsize=10)
    figure.colorbar(shown, ax=[above, below], shrink=0.4, anchor=(0, 0.02))
    for ax in (above, below):
        ax.set_xticks([]), ax.set_yticks([])
    return figure


if __name__ == "__main__":
    commands = {"read": (Options, main)}
    sys.exit(command.run("python -m experiments.detector", commands, took="29 s of CPU"))
