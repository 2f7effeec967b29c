"""Tables and sentences that a terminal of any width shows whole.

A table that is too wide is told in parts, one below the other, each with as many columns as fit.
A heading such as "lax's" belongs to the one before it, and names it where a part begins:

      mode                MB  lax's        mode                MB flax's
    max 2x2 strides 2                    max 2x2 strides 2
      forward              3      3        forward                     3
      forward + backward   7     15        forward + backward         15
"""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_GAP = 2  # columns between two figures


def console(widest: int) -> Console:
    """Writes to a terminal as it is, and elsewhere lines of up to `widest` characters."""
    target = Console()
    return target if target.is_terminal else Console(width=max(target.width, widest))


def say(target: Console, line: str, style: str = "") -> None:
    """Prints a line, which a terminal breaks between words, and which stays one elsewhere."""
    whole = not target.is_terminal
    target.print(line, style=style, markup=False, highlight=False, soft_wrap=whole)


def show(table: Table, target: Console, *, named: int) -> None:
    """Prints a table; in parts where the terminal is narrower.

    Args:
      table: of texts. An empty one in the first column stands for the one above it.
      target: where to.
      named: how many of the first columns say what a row is.
    """
    whole = target.measure(table, options=target.options.update(width=10_000)).maximum
    if not target.is_terminal or whole <= target.width:
        target.print(table)
        return
    columns = [
        [Text.from_markup(str(cell)) for cell in (column.header, *column.cells)]
        for column in table.columns
    ]
    titles = list(_titles(columns[: named - 1])) if named > 1 else []
    labels, figures = columns[named - 1], columns[named:]
    figures.sort(key=lambda column: bool(column[0].plain))  # a verdict, without heading, first
    first = max(label.cell_len for label in labels) + 2 * bool(titles)
    group = ""
    while figures:
        room, here = target.width - first, []
        while figures and (not here or room >= _GAP + _width(figures[0])):
            head, *cells = figures.pop(0)
            if not head.plain.endswith("'s"):
                group = head.plain
            elif not here and group:
                head = Text(f"{group} {head.plain}")
            here.append([head, *cells])
            room -= _GAP + _width(here[-1])
        last = ""
        for number, label in enumerate(labels):
            style = str(table.rows[number - 1].style or "") if number else "bold"
            if titles and number and titles[number - 1] != last:
                last = titles[number - 1]
                target.print(Text(last), style=style)
            line = Text("  " if titles else "").append_text(label)
            line.pad_right(first - line.cell_len)
            for column in here:
                line.append(" " * (_GAP + _width(column) - column[number].cell_len))
                line.append_text(column[number])
            target.print(line, style=style, highlight=False)
        target.print()


def _titles(columns: Sequence[Sequence[Text]]) -> Iterator[str]:
    """What stands above each row: the names before its last."""
    above = ""
    for first, *others in zip(*(column[1:] for column in columns), strict=True):
        above = first.plain or above
        yield ": ".join([above, *(other.plain for other in others)])


def _width(column: Sequence[Text]) -> int:
    return max(cell.cell_len for cell in column)
