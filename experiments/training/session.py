"""From options to finished runs: what the command lines of all experiments share."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from experiments.commands import stopping
from experiments.commands.command import UserError, require, require_known
from experiments.commands.phases import phase
from experiments.data import DATA_DIR, Dataset, load
from experiments.data.decoding import MOST_PIXELS
from experiments.training import finetuning
from experiments.training.extend import check_epochs, extend
from experiments.training.inputs import Inputs
from experiments.training.loop import Monitoring, fit
from experiments.training.mesh import make_mesh
from experiments.training.processes import is_first, say, start_processes
from experiments.training.programs import Programs
from experiments.training.recipe import Recipe, check_unchanged, from_config
from experiments.training.runs import Run, new_folder
from experiments.training.zoo import CLASSIFIERS, SEGMENTERS, has_remat, make_model


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a run goes, with what data and on which devices."""

    run: Path | None = None
    """Run folder to make; runs/NAME-DATE-TIME when left out."""
    data_dir: Path = DATA_DIR
    """Folder of the data sets; small ones are prepared there when absent."""
    mesh: str = ""
    """Devices, for example data=4,space=2: batches are split over `data`, the rows of images over
    `space`; when left out, as many devices on `data` as divide a batch."""


@dataclasses.dataclass(frozen=True)
class Session(Place):
    """And how often, or which run is gone on with."""

    repeat: int = 1
    """Runs, with the seeds `seed`, `seed` + 1, ...; their mean and standard deviation are told."""
    resume: Path | None = None
    """Run folder to go on with; its own recipe holds, but for --nonfinite and, to train it for
    longer, --epochs, where they are given."""
    monitoring: tyro.conf.OmitArgPrefixes[Monitoring] = Monitoring()

    def __post_init__(self):
        require(self.repeat >= 1, "repeat", self.repeat, "must be 1 or more")
        if self.resume:
            require(self.repeat == 1, "repeat", self.repeat, "does not go with --resume")
            require(self.run is None, "run", self.run, "does not go with --resume")

    def defaults(self) -> "Session | None":
        """These options with the subject and the recipe of the run to be resumed, if there is one.

        The command line is read over them again, so that what it does not say is as in the run, and
        all that it says is held against that.
        """
        if self.resume is None:
            return None
        subject, recipe = saved_subject(self.resume)
        kept = {**vars(subject), "recipe": recipe}
        options = {field.name for field in dataclasses.fields(self)}
        return dataclasses.replace(self, **{k: v for k, v in kept.items() if k in options})


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is learned, and by which network."""

    data: str
    """Data set, see `experiments.data.load`."""
    model: str
    """Network, see `experiments.training.zoo`."""
    image_size: tuple[int, int] | None = None
    """Height and width that streamed images are brought to; their own when left out."""

    def __post_init__(self):
        height, width = self.image_size or (1, 1)
        rule = f"must be 1 or more pixels each, and at most {MOST_PIXELS:,} together"
        holds = min(height, width) >= 1 and height * width <= MOST_PIXELS
        require(holds, "image_size", self.image_size, rule)


def config(subject: Subject, recipe: Recipe) -> dict[str, Any]:
    """What a run folder keeps of them."""
    return {**dataclasses.asdict(subject), **dataclasses.asdict(recipe)}


def saved_subject(folder: Path) -> tuple[Subject, Recipe]:
    """What a run learns, and how."""
    saved = Run(folder).config()
    saved.pop("extended", None)  # what its epochs were before, for whoever repeats the run
    try:
        subject = {field.name: saved.pop(field.name) for field in dataclasses.fields(Subject)}
        return from_config(Subject, subject), from_config(Recipe, saved)
    except (KeyError, UserError) as error:
        raise UserError(f"{folder} is of another experiment or version ({error})") from None


def train(
    session: Session, subject: Subject, recipe: Recipe, *, name: str, again: str = ""
) -> list[dict[str, float]]:
    """Trains one run a seed, or finishes the one to be resumed.

    Args:
      session: options.
      subject: what to learn; of a run to be resumed, its own.
      recipe: as the options say; of a run to be resumed, its own but for `nonfinite`.
      name: of the experiment, `python -m experiments.<name>`.
      again: what is told of how to go on after a stop; when empty, the `--resume` of `name`.
    Returns:
      The test of each run, see `fit`.
    """
    start_processes()
    resume = f"python -m experiments.{name} --resume"
    stopping.tell(advice=f"go on with: {resume} {session.resume}" if session.resume else "")
    recipes = [dataclasses.replace(recipe, seed=recipe.seed + i) for i in range(session.repeat)]
    if session.resume:
        subject, kept = saved_subject(session.resume)
        check_unchanged(session, subject)
        may_change = {"nonfinite": recipe.nonfinite, "epochs": recipe.epochs}
        check_unchanged(recipe, dataclasses.replace(kept, **may_change))
        check_epochs(Run(session.resume), recipe.epochs)
        if is_first():
            with Run(session.resume).locked():  # refused here, and not after compiling
                pass
    programs = make_programs(subject, recipes[0], session)
    runs = [Run(session.resume)] if session.resume else _make_runs(session, name, subject, recipes)
    if not session.resume:
        stopping.tell(advice=f"begin with: {again or f'{resume} {runs[0].folder}'}")
    inputs = Inputs.of(programs.dataset, programs.image_shape)
    tests = []
    with _discarded_unless_begun(runs):
        programs.compile()
        if session.resume and is_first():
            extend(runs[0], kept, recipe, programs.batches.steps, say)
        for recipe, run in zip(recipes, runs, strict=True):
            say(f"seed {recipe.seed}, run folder {run.folder}")
            command = again or f"{resume} {run.folder}"
            stopping.tell(advice=f"go on with: {command}")
            options = {"resume": bool(session.resume), "monitoring": session.monitoring}
            if is_first() and not session.resume:
                inputs.save(run)
            tests.append(fit(programs, run, seed=recipe.seed, again=command, **options)[1])
    stopping.tell(advice="")
    _report(tests, programs.dataset)
    return tests


@contextlib.contextmanager
def _discarded_unless_begun(runs: list[Run]) -> Iterator[None]:
    """Leaves no folder of a run that failed, or was stopped, before its training began."""
    try:
        yield
    except BaseException:
        for run in reversed(runs):  # the first made the folder that holds all
            run.discard()
        raise


def make_programs(subject: Subject, recipe: Recipe, session: Place, **options: Any) -> Programs:
    """The programs of a subject, not compiled yet."""
    require_known("model", subject.model, [*CLASSIFIERS, *SEGMENTERS])  # before data are prepared
    with phase("data", f"reading {subject.data}"):
        dataset = load(subject.data, data_dir=session.data_dir, say=say)
    images, tested = len(dataset.train), len(dataset.test)
    say(f"data: {dataset.name}, {images:,} {dataset.kind} to train on, {tested:,} to test with")
    make = make_model(subject.model, dataset, recipe, dataset.shape_at(subject.image_size))
    mesh = _mesh(session.mesh, recipe)
    with phase("build", f"building {subject.model}"):
        programs = Programs(
            make,
            dataset,
            recipe,
            mesh=mesh,
            image_size=subject.image_size,
            remat=recipe.remat and not has_remat(subject.model),
            **options,
        )
        if recipe.weights and not getattr(session, "resume", None):  # refused before compiling
            report = finetuning.load(make(nnx.Rngs(recipe.seed)), recipe.weights)
            say(finetuning.told(report, recipe.weights))
    return programs


def _mesh(spec: str, recipe: Recipe) -> Mesh:
    """All devices where nothing else is asked for, or those that can have equal shares."""
    if spec or jax.process_count() > 1:
        return make_mesh(spec)
    size, there = recipe.batch_size // recipe.accumulate, jax.device_count()
    used = most_devices(size, there)
    if used < there:
        say(f"devices: {used} of {there}, so that a batch of {size} divides")
    return make_mesh(f"data={used}")


def most_devices(size: int, there: int) -> int:
    """The largest number, up to `there`, that divides a batch of `size`."""
    return max(count for count in range(1, there + 1) if size % count == 0)


def _make_runs(session: Session, name: str, subject: Subject, recipes: list[Recipe]) -> list[Run]:
    """A new run folder for each recipe, made by the first process."""
    rule = "must be given where there are several processes, so that all have the same folder"
    require(bool(session.run) or jax.process_count() == 1, "run", session.run, rule)
    folder = session.run or new_folder(name)
    folders = [folder]
    if len(recipes) > 1:
        folders = [folder.with_name(f"{folder.name}-seed{recipe.seed}") for recipe in recipes]
    made = []
    with _discarded_unless_begun(made):
        if is_first():
            for each, recipe in zip(folders, recipes, strict=True):
                made.append(Run.create(each, config(subject, recipe)))
        multihost_utils.sync_global_devices("run folders")
    return made or [Run(each) for each in folders]


def _report(tests: list[Mapping[str, float]], dataset: Dataset) -> None:
    kinds = {"accuracy": "test accuracy"}
    if dataset.task == "segmentation":
        kinds = {"accuracy": "test accuracy of pixels", "iou": "test intersection over union"}
    for kind, title in kinds.items():
        values = [100 * test[kind] for test in tests]
        if len(values) > 1:
            listed = ", ".join(f"{value:.2f}%" for value in values)
            say(
                f"{len(values)} seeds: {listed}; mean {np.mean(values):.2f}%, "
                f"standard deviation {np.std(values, ddof=1):.2f} points"
            )
        say(f"{title} {np.mean(values):.2f}%")
