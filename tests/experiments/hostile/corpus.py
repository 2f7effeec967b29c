"""The corpus of hostile files: what strangers may send in place of what the readers expect."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from tests.experiments.hostile import inputs, runs


@dataclasses.dataclass(frozen=True)
class Hostile:
    """Who reads it; what makes it, told the folder of what is whole; what the refusal says."""

    reader: str
    make: Callable[[Path], object]
    message: str


FILES = {
    name: Hostile(reader, make, message)
    for reader, cases in (
        ("resume", runs.CONFIGS),
        ("measure", runs.METRICS),
        ("restore", runs.CHECKPOINTS),
        ("load_torch", inputs.WEIGHT_FILES),
        ("predict", inputs.IMAGES),
        ("load", inputs.DATA),
        ("decode", inputs.EXAMPLES),
        ("read_table", inputs.TABLES),
    )
    for name, (make, message) in cases.items()
}
