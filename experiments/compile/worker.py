"""Compiles one step after another, in a process that has the environment of the compiler."""

from typing import Any

from experiments.commands.command import UserError
from experiments.compile.exchange import Links
from experiments.compile.findings import look
from experiments.compile.step import Step, lowered
from experiments.compiled_for import description
from experiments.compiled_for.target import Target
from experiments.compiled_for.workers import Answer, Task, serve
from experiments.training.recipe import from_config


def answer(task: Task) -> Answer:
    """What was found of a step; {"wrong": why} where the options do not go together.

    Args:
      task: "step", a `Step` as a dictionary, and "text", whether the program is wanted too.
    """
    step = from_config(Step, task["step"])
    device = description.load(step.target)
    try:
        programs = step.programs(Target(device).devices(step.devices))
        program = lowered(programs)
    except UserError as error:
        return {"wrong": str(error)}
    mesh = dict(programs.mesh.shape)
    found: dict[str, Any]
    found, text = look(program, Links(device, mesh))
    about = {"mesh": mesh, "image_shape": programs.image_shape}
    return {**about, **found, **({"text": text} if task["text"] else {})}


if __name__ == "__main__":
    serve(answer)
