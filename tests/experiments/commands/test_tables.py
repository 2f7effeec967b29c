"""Tables in terminals that are too narrow for them, and in pipes."""

import pytest
from rich.console import Console
from rich.table import Table

from experiments.commands import tables

WHOLE = """\
row  mode      MB  lax's  flax's
max  forward    1      2       3
     backward  41     52      63
avg  forward    7      8       9
"""
PARTS = """\
  mode      MB  lax's
max
  forward    1      2
  backward  41     52
avg
  forward    7      8

  mode      MB flax's
max
  forward           3
  backward         63
avg
  forward           9

"""


def table():
    made = Table(box=None, pad_edge=False)
    for heading in ("row", "mode"):
        made.add_column(heading, no_wrap=True)
    for heading in ("MB", "lax's", "flax's"):
        made.add_column(heading, justify="right", no_wrap=True)
    made.add_row("max", "forward", "1", "2", "3")
    made.add_row("", "backward", "41", "[green]52[/]", "63")
    made.add_row("avg", "forward", "7", "8", "9")
    return made


@pytest.mark.parametrize(
    ("width", "terminal", "told"), [(32, True, WHOLE), (24, True, PARTS), (32, False, WHOLE)]
)
def test_a_narrow_terminal_gets_parts(width, terminal, told, capsys):
    target = Console(width=width, force_terminal=terminal, color_system=None)
    tables.show(table(), target, named=2)
    assert capsys.readouterr().out == told


def test_names_before_the_last_stand_above(capsys):
    made = Table(box=None)
    for heading in ("primitive", "case", "dtype", "by hand", ""):
        made.add_column(heading)
    made.add_row("pool", "ties", "float32", "1.0e-08", "agrees")
    made.add_row("", "NaN", "float32", "2.0e-08", "DIFFERS")
    tables.show(made, Console(width=27, force_terminal=True, color_system=None), named=3)
    _, *lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "pool: ties", "  float32   agrees  1.0e-08", "pool: NaN", "  float32  DIFFERS  2.0e-08", ""
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("terminal", "told"), [(True, ["one two", "three"]), (False, ["one two three"])]
)
def test_a_terminal_breaks_lines_between_words(terminal, told, capsys):
    tables.say(Console(width=9, force_terminal=terminal, color_system=None), "one two three")
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == told
