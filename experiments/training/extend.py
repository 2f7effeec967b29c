"""Another number of epochs for a run that is gone on with."""

from collections.abc import Callable

from experiments.commands.command import require
from experiments.commands.phases import phase
from experiments.training.optimizers import make_schedule
from experiments.training.recipe import Recipe
from experiments.training.runs import Run


def check_epochs(run: Run, epochs: int) -> None:
    """Refuses fewer epochs than a run has done.

    Raises:
      UserError: there are fewer.
    """
    done = _ended(run)
    rule = f"must be {done} or more: {run.folder} has done so many"
    require(epochs >= done, "epochs", epochs, rule)


def extend(run: Run, before: Recipe, recipe: Recipe, steps: int, say: Callable) -> None:
    """Notes the new number of epochs in the run folder, and says what becomes of the rates.

    A constant rate goes on. The other schedules are stretched: each step has the rate that it has
    in a run of so many epochs from its start. Of a run that had ended, whose rate was nearly 0, it
    goes up again, and then down to the new end; so the recipe alone says what is still to come.

    Args:
      run: to go on with.
      before: its recipe.
      recipe: the same with another number of epochs; nothing happens where it has the same.
      steps: in an epoch.
      say: is told a line.
    """
    if recipe.epochs == before.epochs:
        return
    done = _ended(run) * steps
    run.extend(recipe.epochs, done)
    changed = "extended" if recipe.epochs > before.epochs else "shortened"
    told = f"{changed} from {before.epochs} epochs to {recipe.epochs}: "
    if recipe.schedule == "constant":
        say(f"{told}the rate stays as it was")
        return
    with phase("build", "working out the rates", brief=True):
        last, following = (
            float(make_schedule(each, steps)(step))
            for each, step in ((before, max(done - 1, 0)), (recipe, done))
        )
    say(
        f"{told}the rates of {recipe.schedule} are from here on those of a run of {recipe.epochs} "
        f"epochs: the next step has {following:.1e}, the last had {last:.1e}"
    )


def _ended(run: Run) -> int:
    return max((line["epoch"] for line in run.metrics()), default=0)
