"""The public interface, held against `interface.txt`; a change is printed as a difference.

A change that is meant is written down by `python tests/test_interface.py`.
"""

import difflib
import inspect
import pathlib
from collections.abc import Iterator
from typing import Any

from jaxcnn import (
    analysis,
    functional,
    geometry,
    models,
    nn,
    reference,
    sharding,
    testing,
    visualize,
)

PACKAGES = (analysis, functional, geometry, models, nn, reference, sharding, testing, visualize)
PINNED = pathlib.Path(__file__).with_name("interface.txt")
PLAIN = (bool, int, float, str, type(None))


def default(value: Any) -> str:
    """A default without addresses and without what other packages print."""
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(default, value))})"
    if isinstance(value, PLAIN):
        return repr(value)
    return getattr(value, "__name__", type(value).__name__)


def parameters(function: Any) -> str:
    """Names, kinds and defaults; annotations print differently from version to version."""
    if inspect.isclass(function):
        function = function.__init__
    empty, told, after_star = inspect.Parameter.empty, [], False
    for each in inspect.signature(function).parameters.values():
        if each.kind == each.KEYWORD_ONLY and not after_star:
            told.append("*")
        after_star |= each.kind in (each.KEYWORD_ONLY, each.VAR_POSITIONAL)
        mark = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
        end = "" if each.default is empty else f"={default(each.default)}"
        told.append(f"{mark}{each.name}{end}")
    return f"({', '.join(told)})"


def members(package: Any, name: str) -> Iterator[str]:
    """The lines of one public name."""
    entry, path = getattr(package, name), f"{package.__name__}.{name}"
    if not inspect.isclass(entry):
        yield f"{path}{parameters(entry)}" if inspect.isfunction(entry) else path
        return
    yield f"{path}{parameters(entry)}"
    for key, member in sorted(vars(entry).items()):
        if key.startswith("_") and key != "__call__":
            continue
        if isinstance(member, property):
            yield f"{path}.{key}"
        elif inspect.isfunction(member):
            yield f"{path}.{key}{parameters(member)}"


def interface() -> list[str]:
    """A line for each public function, class, method and property."""
    return [
        line for package in PACKAGES for name in package.__all__ for line in members(package, name)
    ]


def test_public_interface_is_the_pinned_one():
    pinned = PINNED.read_text().splitlines()
    changes = [
        line
        for line in difflib.unified_diff(pinned, interface(), "pinned", "now", lineterm="", n=0)
        if not line.startswith("@@")
    ]
    told = "\n".join(changes)
    assert not changes, f"{told}\nif this is meant: python {pathlib.Path(__file__).name} in tests/"


if __name__ == "__main__":
    PINNED.write_text("\n".join(interface()) + "\n")
