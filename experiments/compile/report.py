"""What was found, as tables on the terminal and as JSON."""

import dataclasses
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from experiments.commands import tables
from experiments.compile.step import Step

PLAIN_WIDTH = 160  # columns that hold the widest row
_TOLD = 12  # kinds of kernels

Told = dict[str, Any]


def gathered(step: Step, title: str, found: Mapping[str, Any], fit: Mapping[str, Any]) -> Told:
    """All of it as JSON can hold it.

    Args:
      step: what was compiled.
      title: of the device.
      found: what the worker answered.
      fit: bytes of a device that are "needed" and "allowed", whether it "fits", and the "largest"
        batch that does with the two that it was found by.
    """
    place = {"device": title, "devices": step.devices, "mesh": found["mesh"], "jax": version("jax")}
    known = {name: value for name, value in found.items() if name not in ("mesh", "text")}
    if "seconds" in found:
        del known["seconds"]
        rate = step.recipe.batch_size / found["seconds"]
        known["modelled"] = {"seconds": found["seconds"], "images_per_second": rate}
    return {
        "compiled_for": place,
        "model": step.model,
        "data": step.data,
        "recipe": dataclasses.asdict(step.recipe),
        "fit": dict(fit),
        **known,
    }


def show(told: Told) -> None:
    """Prints all of it."""
    target = tables.console(PLAIN_WIDTH)
    for line in lines(told):
        tables.say(target, line)
    if "parts" in told:
        tables.show(_table(told, target), target, named=2)


def lines(told: Told) -> list[str]:
    """What stands above the table."""
    recipe, place, fit = told["recipe"], told["compiled_for"], told["fit"]
    shape = "x".join(map(str, told["image_shape"]))
    extras = [recipe["precision"], recipe["optimizer"]]
    extras += ["remat"] if recipe["remat"] else []
    extras += [f"in {recipe['accumulate']} parts"] if recipe["accumulate"] > 1 else []
    mesh = ",".join(f"{axis}={size}" for axis, size in place["mesh"].items())
    written = [
        f"{told['model']}, {recipe['batch_size']:,} images of {shape} a step, {', '.join(extras)}",
        f"compiled for {place['devices']} x {place['device']} ({mesh}) by JAX {place['jax']}",
        f"memory a device: {_memory(told)}",
    ]
    if fit.get("largest"):
        most, (below, above) = fit["largest"]
        written.append(
            f"largest batch that fits: {most:,} images, {most // place['mesh']['data']:,} along "
            f"each device of `data` (by a line through the programs for {below:,} and {above:,})"
        )
    if "refused" in told:
        return written
    written.append(
        f"each runs {told['kernels']:,} kernels, moves {size(told['bytes'])} and computes "
        f"{count(told['flops'])}FLOP in convolutions and products"
    )
    written += [
        f"{each['kind']}: {each['times']:,} a step, {size(each['bytes'])}, {each['beside']} of "
        f"them beside kernels; {1e3 * each['seconds']:.2f} ms modelled, of which a step waits "
        f"{1e3 * each['waited']:.2f} ms"
        for each in told["exchanges"]
    ]
    modelled = told["modelled"]
    written.append(
        f"modelled: {1e3 * modelled['seconds']:.2f} ms a step, "
        f"{modelled['images_per_second']:,.0f} images/s"
    )
    return written


def size(number: float) -> str:
    """Bytes in a unit that suits them."""
    return f"{count(number)}B"


def count(number: float) -> str:
    """A number with three digits and a letter for the thousands."""
    for unit in ("", "k", "M", "G"):
        if abs(number) < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.3g} T"


def _memory(told: Told) -> str:
    fit = told["fit"]
    needed = "more" if fit["needed"] is None else size(fit["needed"])
    text = f"{needed} of {size(fit['allowed'])}, {'fits' if fit['fits'] else 'does not fit'}"
    if "refused" in told:
        return text
    memory = told["memory"]
    images = fit["needed"] - memory["total"]
    held = f", images of the data set {size(images)}" if images else ""
    computed = memory["temporary"] + memory["results"]
    return f"{text} (state and batch {size(memory['arguments'])}, computed {size(computed)}{held})"


def _table(told: Told, target: Console) -> Table:
    table = Table(box=box.SIMPLE_HEAD if target.is_terminal else None, pad_edge=False)
    for heading in ("where the time goes", "part"):
        table.add_column(heading, no_wrap=True)
    for heading in ("kernels", "moved", "FLOP", "modelled ms", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    for part in told["parts"][:_TOLD]:
        table.add_row(
            part["kind"],
            part["part"],
            f"{part['times']:,}",
            size(part["bytes"]),
            count(part["flops"]) if part["flops"] else "",
            f"{1e3 * part['seconds']:.2f}",
            f"{part['seconds'] / told['modelled']['seconds']:.0%}",
        )
    return table
