"""Compiles the trainer's step for devices that are not here, and says what it would take there.

    python -m experiments.compile --model resnet50 --target h100 --devices 8 --batch-size 1024

The compiler's own plugin is needed (`pip install -e '.[compile]'`), a device is not.
"""

from experiments.commands import command
from experiments.commands.command import UserError, extra, require, reserve

with extra("experiments"):
    import dataclasses
    import importlib
    import json
    import math
    import sys
    from pathlib import Path
    from typing import Any, Literal

    from experiments.commands.phases import phase
    from experiments.compile import report
    from experiments.compile.fitting import largest_batch, pair
    from experiments.compile.step import Step
    from experiments.compiled_for import description
    from experiments.compiled_for.workers import answers

SHARES = {"cuda": 0.75, "tpu": 1.0}  # of its memory, what JAX hands to programs by default


@dataclasses.dataclass(frozen=True)
class Options(Step):
    """Compiles the trainer's step for devices that are not here: if it fits, where time would go.

    Bytes, kernels and what the devices exchange are what XLA's compiler for them says; times are
    modelled, nothing is measured.
    """

    experiment: Literal["imagenet", "cifar10", "lenet", "train"] = "imagenet"
    """Whose network, data and recipe hold where nothing else is said."""
    images: int = 0
    """How many images every device holds whole, as those of small data sets are; 0: streamed."""
    memory_share: float | None = None
    """Part of a device's memory that a program may have; when left out all of a TPU's, and 0.75 of
    a GPU's, which is what JAX takes unless XLA_PYTHON_CLIENT_MEM_FRACTION says more."""
    largest: bool = True
    """Whether the largest batch that fits is looked for, by a line through two programs."""
    json: Path | None = None
    """File for all that was found."""
    text: Path | None = None
    """File for the compiled program."""

    def __post_init__(self):
        super().__post_init__()
        require(self.images >= 0, "images", self.images, "must be 0 or more")
        share, rule = self.memory_share, "must be above 0 and at most 1"
        require(share is None or 0 < share <= 1, "memory_share", share, rule)

    def defaults(self) -> "Options":
        """These options with what the experiment has for those that are its own."""
        module: Any = importlib.import_module(f"experiments.{self.experiment}")
        own = {"model": module.SUBJECT.model, "data": module.SUBJECT.data}
        return dataclasses.replace(self, **own, recipe=module.RECIPE)

    def at(self, batch: int) -> dict[str, Any]:
        """The step for another batch, as a dictionary."""
        recipe = dataclasses.replace(self.recipe, batch_size=batch)
        names = [field.name for field in dataclasses.fields(Step)]
        given = dataclasses.asdict(dataclasses.replace(self, recipe=recipe))
        return json.loads(json.dumps({name: given[name] for name in names}))


def run(options: Options) -> None:
    """Compiles for the batch that is asked for, and for another one to see how memory grows."""
    device = description.load(options.target)
    if device.missing:
        raise UserError(device.missing)
    for path in (options.json, options.text):
        if path:
            reserve(path)
    batch = options.recipe.batch_size
    least = options.recipe.accumulate * options.devices
    found: dict[int, dict[str, Any]] = {}

    def compiled(*batches: int) -> None:
        missing = [size for size in dict.fromkeys(batches) if size not in found]
        tasks = [
            {"step": options.at(size), "text": bool(options.text) and size == batch}
            for size in missing
        ]
        if not missing:
            return
        sizes = " and ".join(f"{size:,}" for size in missing)
        saying = f"compiling for {device.title}, steps of {sizes} images"
        with phase("compile", saying, total=len(tasks)) as shown:
            given = answers("experiments.compile.worker", tasks, device.environment)
            for number, (task, answer) in enumerate(given, 1):
                shown.move(number)
                if why := answer.get("wrong") or answer.get("error"):
                    raise UserError(why)
                found[task["step"]["recipe"]["batch_size"]] = answer

    def needs(size: int) -> float | None:
        compiled(size)
        answer = found[size]
        if "refused" in answer:
            return answer["refused"]
        return answer["memory"]["total"] + options.images * math.prod(answer["image_shape"])

    compiled(batch, *(pair(batch, least) if options.largest else ()))
    share = options.memory_share or SHARES[device.platform]
    fit = {"needed": needs(batch), "allowed": share * device.memory}
    fit["fits"] = fit["needed"] is not None and fit["needed"] <= fit["allowed"]
    if options.largest:
        fit["largest"] = largest_batch(needs, batch, least, fit["allowed"])
    told = report.gathered(options, device.title, found[batch], fit)
    report.show(told)
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    if options.text:
        options.text.write_text(found[batch].get("text", ""))


if __name__ == "__main__":
    commands = {"step": (Options, run)}
    sys.exit(
        command.run(
            "python -m experiments.compile",
            commands,
            cached=False,
            took="two minutes for ResNet-50 on 8 H100",
        )
    )
