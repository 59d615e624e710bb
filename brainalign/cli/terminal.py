"""What the commands print on: tables on standard output, messages and errors on standard error."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

output = Console()
errors = Console(stderr=True)


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> None:
    """Print a table; columns after the first that hold only numbers are set to the right."""
    table = Table(
        title=title,
        caption=caption or None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for place, column in enumerate(columns):
        numeric = place > 0 and all(_is_number(row[place]) for row in rows)
        justify = "right" if numeric else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=place == 0 or numeric)
    for row in rows:
        table.add_row(*row)
    output.print(table)


def _is_number(text: str) -> bool:
    """Say whether a cell holds a number, an interval or a dash."""
    return not text.strip("0123456789.,–—-−[] ")
