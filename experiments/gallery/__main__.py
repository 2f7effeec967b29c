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

    from experiments.commands.phases import phase
    from experiments.gallery import page, screenshot, trained
    from experiments.gallery.items import PREAMBLE, Example, Section, run
    from experiments.gallery.pictures import SECTIONS
    from experiments.training.runs import Run, new_folder
    from jaxcnn import visualize

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
    """Only draws the pictures of the READMEs anew; that of the playground needs Chromium."""

    def __post_init__(self):
        require(self.epochs >= 1, "epochs", self.epochs, "must be 1 or more")
        if not self.trained:
            require(self.run is None, "run", self.run, "does not go with --no-trained")

    def begins(self) -> tuple[str, str]:
        """What the first line says."""
        if self.readme:
            return "Draws the pictures of the READMEs anew", ""
        what = "Draws every picture into a folder, with one page that explains them"
        return what, "77 s" if self.trained else "30 s of CPU"


def main(options: Options) -> None:
    """Draws what the options ask for."""
    if options.readme:
        draw_readme(Path(__file__).parent / "pictures")
        return
    if options.run:  # refused before all is drawn that needs none
        Run(options.run).config()
    folder = options.folder or new_folder("gallery")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    sections: Sequence[Section] = SECTIONS
    if options.trained:
        path = options.run or trained.train(folder, options.epochs, options.data_dir)
        sections = (*SECTIONS, trained.section(path, folder, options.data_dir))
    names: dict[str, Any] = {}
    exec(PREAMBLE, names)  # our own text, as all that is run here
    told, count, total = {}, 0, sum(len(section.pictures) for section in sections)
    with phase("pictures", "drawing the pictures", total=total) as shown:
        for section in sections:
            shown.move(count, f"drawing {section.title}", f"{count} of {total} pictures")
            told |= draw(section, folder, names)
            count += len(section.pictures)
            print(f"{section.title}: {len(section.items)} pictures and examples")
    read = trained.digit(names) if options.trained else None
    with phase("pictures", "writing the page"), writing(folder):
        text = page.render(sections, folder, told, read)
        (folder / "index.html").write_text(text, encoding="utf-8")
    size = (folder / "index.html").stat().st_size
    print(f"{count} pictures; open {folder / 'index.html'} ({size / 1e6:.1f} MB)")


def draw(section: Section, folder: Path, names: dict[str, Any]) -> dict[str, str]:
    """Runs the code of a section in `folder`, where its pictures are written.

    Args:
      section: what to draw.
      folder: of the gallery.
      names: what the code before it has defined; what this defines is added.

    Returns:
      By name, an example's code with its results, and a slider's set-up of the playground.
    """
    told = {}
    with writing(folder), contextlib.chdir(folder):
        exec(section.preamble, names)
        for item in section.items:
            if isinstance(item, Example):
                told[item.name] = run(item.code, names)
                continue
            figure = eval(item.call, names)
            figure.savefig(f"{item.name}.png", dpi=DPI)
            if item.slides:
                told[item.name] = item.setup or figure.address
    return told


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what goes wrong on the disk into one message."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot write to {folder} ({reason}); choose another --folder") from None


def draw_readme(folder: Path) -> None:
    """The pictures of the READMEs: small files, which are kept with the code."""
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
        if not screenshot.take(folder / "playground.png"):
            print("no Chromium on the PATH: playground.png is left as it was")
    for path in sorted(folder.iterdir()):
        print(f"{path} ({path.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    commands = {"draw": (Options, main)}
    sys.exit(command.run("python -m experiments.gallery", commands))
