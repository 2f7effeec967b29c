"""The learning-rate finder: the loss at each of a few steps whose rate grows."""

import dataclasses

import jax
import numpy as np
import optax

from experiments.commands import output
from experiments.commands.command import require
from experiments.commands.phases import phase
from experiments.training.programs import Programs
from experiments.training.recipe import Recipe
from experiments.training.records import add_times
from experiments.training.runs import Run, new_folder
from experiments.training.session import Place, Subject, config, make_programs
from jaxcnn import visualize


def find_rate(
    session: Place, subject: Subject, recipe: Recipe, lowest: float, highest: float, steps: int
) -> Run:
    """Trains with a rate that grows from `lowest` to `highest`, by the same factor at each step.

    Args:
      session: options; a new run folder is made.
      subject: what to learn.
      recipe: its schedule is not used, and losses need not be finite.
      lowest: rate of the first step.
      highest: rate of the last.
      steps: from one to the other.
    Returns:
      The run, with rates.png and rates.json: "rates" and "losses".

    References: L. N. Smith, Cyclical learning rates for training neural networks, 2017.
    """
    require(0 < lowest < highest, "lowest", lowest, "must be above 0 and below --highest")
    require(steps >= 10, "steps", steps, "must be 10 or more")
    rates = np.geomspace(lowest, highest, steps)
    growing = optax.exponential_decay(lowest, 1, float(rates[1] / rates[0]))
    recipe = dataclasses.replace(recipe, nonfinite="ignore")
    programs = make_programs(subject, recipe, session, schedule=growing)
    run = Run.create(session.run or new_folder("find"), config(subject, recipe))
    programs.compile()
    with programs.memory_explained("training"):
        losses = sweep(programs, steps, recipe.seed)
    with phase("pictures", "drawing the losses"):
        title = f"{subject.model}, {subject.data}"
        figure = visualize.learning_rate_finder(rates, losses, title=title)
        run.save_picture("rates", figure)
    run.save_json("rates", {"rates": rates.tolist(), "losses": losses.tolist()})
    _, _, *suggested = (text.get_text() for text in figure.axes[0].get_legend().get_texts())
    output.say(f"rates: {', '.join(suggested)}; see {run.folder / 'rates.png'}")
    add_times(run)
    return run


def sweep(programs: Programs, steps: int, seed: int) -> np.ndarray:
    """The loss of each of the first steps, before the step."""
    state, key, done, losses = programs.initial_state(seed), programs.key(seed), 0, []
    programs.batches.start(seed)
    with phase("training", f"training, {steps} steps", total=steps) as shown:
        while done < steps:
            state, done, metrics = programs.batches.advance(state, done, key)
            losses.append(np.atleast_1d(jax.device_get(metrics.loss)))
            shown.move(min(done, steps), f"step {min(done, steps)} of {steps}")
    return np.concatenate(losses)[:steps]
