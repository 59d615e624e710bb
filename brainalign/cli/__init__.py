"""The command line: one command a file."""

import logging
import sys

import typer
from rich.markup import escape

from brainalign.cli import decode, fetch, list_, partition, quickstart, run, score, stages, train
from brainalign.cli.terminal import errors
from brainalign.errors import AlignmentError, BrainalignError, FetchError, ResponsesError, TrainingError

FAULT, BAD_USAGE = 1, 2

app = typer.Typer(
    help="Compare neural networks, layer by layer, with recordings from the brain.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("quickstart")(quickstart.quickstart)
app.command("list")(list_.list_)
app.command("fetch")(fetch.fetch)
app.command("score")(score.score)
app.command("train")(train.train)
app.command("run")(run.run)
app.command("stages")(stages.stages)
app.command("partition")(partition.partition)
app.command("decode")(decode.decode)


def main() -> None:
    """Run a command; exit 0 on success, 2 on bad usage, 1 on any other fault, with the way out."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        app()
    except BrainalignError as error:
        errors.print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        fault = isinstance(error, FetchError | ResponsesError | AlignmentError | TrainingError)
        sys.exit(FAULT if fault else BAD_USAGE)
