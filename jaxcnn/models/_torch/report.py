"""What was done with weights, told by the name of each array."""

from collections.abc import Iterable
from dataclasses import dataclass

_TOLD = 12  # names of one kind
_LETTERS = 120  # of a name
_SHORT = 6  # names of one kind that `repr` lists


@dataclass(frozen=True, repr=False)
class TorchReport:
    """What `load_torch` did, name by name.

    Attributes:
      names: under whose names the arrays were found: "torchvision", "timm", "own" (the paths in the
        model), or "order", where layers were paired by their shapes and their order.
      taken: pairs of an array's name in the weights and the path of the parameter that it went to.
      skipped: pairs of an array's name in the weights and why it was left out.
      missing: paths of the model's parameters that stay as they were.

    Example:
      >>> from jaxcnn import models
      >>> models.TorchReport("own", (("fc.bias", "fc.bias"),), (("head.bias", "asked for"),), ())
      TorchReport: 1 array taken, under the model's own names
        skipped: head.bias (asked for)
        missing: nothing
    """

    names: str
    taken: tuple[tuple[str, str], ...]
    skipped: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]

    def __repr__(self) -> str:
        """A line for each of the three."""
        how = {"own": "under the model's own names", "order": "in the order of the layers"}
        by = how.get(self.names, f"under {self.names}'s names")
        arrays = "array" if len(self.taken) == 1 else "arrays"
        skipped = listed([f"{name} ({why})" for name, why in self.skipped], _SHORT)
        return (
            f"TorchReport: {len(self.taken)} {arrays} taken, {by}\n  skipped: "
            f"{skipped or 'nothing'}\n  missing: {listed(self.missing, _SHORT) or 'nothing'}"
        )


def listed(names: Iterable[str], most: int = _TOLD) -> str:
    """The first few, on one line: a stranger may have chosen them."""
    names = list(names)
    short = [n if len(n) <= _LETTERS else f"{n[:_LETTERS]}..." for n in names[:most]]
    told = ", ".join(n if n.isprintable() else ascii(n) for n in short)
    return told + (f" and {len(names) - most:,} more" if len(names) > most else "")
