"""`brainalign run`: a whole experiment, resumable."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from brainalign.cli.terminal import errors, output, show

FAULT, INTERRUPTED = 1, 130


def run(
    experiment: Annotated[Path, typer.Argument(help="Experiment file, such as analyses/smoke.toml.")],
    out: Annotated[Path, typer.Option(help="Folder of the experiment; called again, it goes on.")],
    workers: Annotated[int | None, typer.Option(min=1, help="Local processes, or SLURM jobs.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a running Dask scheduler.")] = None,
    slurm: Annotated[bool, typer.Option("--slurm", help="Start workers as SLURM jobs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost, and stop.")] = False,
) -> None:
    """Run an experiment: networks × tasks × rules × seeds × checkpoints × recordings × metrics.

    What is done is not done again: after any interruption the same command goes on, and ends with the same
    table.
    """
    from brainalign.sweep import Where, estimate_experiment, run_experiment

    if dry_run:
        _show_plan(estimate_experiment(experiment, out), workers)
        return
    where = Where(workers, scheduler, slurm)
    logging.captureWarnings(True)
    try:
        outcome = run_experiment(experiment, out, where, _say)
    except KeyboardInterrupt:
        _say("Stopped. The same command goes on from what is done.")
        raise typer.Exit(INTERRUPTED) from None
    except OSError as error:
        _say(f"Stopped: {error}. What is done is kept; the same command goes on when this is mended.")
        raise typer.Exit(FAULT) from None
    for note in outcome.notes:
        output.print(f"note: {note}", highlight=False, soft_wrap=True)
    for path in [*sorted(out.glob("*.csv")), out / "scores.nc", *_draw(out)]:
        if path.name != "times.csv":
            output.print(f"wrote {path}", highlight=False, soft_wrap=True)
    if not outcome.holds:
        _say(
            f"{len(outcome.failures)} of {outcome.cells} cells failed; the column `note` of "
            f"{out / 'scores.csv'} and {out / 'failures'} say why. The same command tries them again."
        )
        raise typer.Exit(FAULT)
    again = f", {outcome.done_before} of them before" if outcome.done_before else ""
    output.print(f"all {outcome.cells} cells hold{again}", highlight=False)


def _draw(out: Path) -> list[Path]:
    """Draw learning curves; a table in which nothing can be drawn has none."""
    from brainalign.compare import load_scores
    from brainalign.compare.commitment import COMMITTED
    from brainalign.errors import BrainalignError
    from brainalign.figures import learning_curves

    path = out / "figures" / "learning_curves.pdf"
    try:
        path.parent.mkdir(exist_ok=True)
        scores = load_scores(out / "scores.nc")
        # Networks that act conditions out have no layer that was committed on other stimuli.
        layer = None if COMMITTED in scores["layer"].values else "units"
        learning_curves(scores, path, layer=layer)
    except BrainalignError as error:
        _say(f"no figure: {error}")
        return []
    return sorted(path.parent.glob("learning_curves.*"))


def _show_plan(estimate, workers: int | None) -> None:
    from brainalign.sweep.clusters import n_cores

    rows = [
        (kind, str(count), str(done), _duration(estimate.seconds[kind]))
        for kind, (count, done) in estimate.counts.items()
        if count
    ]
    count = workers or n_cores()
    total = sum(estimate.seconds.values())
    show("Plan", ("cells", "planned", "done", "time of one worker"), rows)
    output.print(
        f"{sum(planned for planned, _ in estimate.counts.values())} cells; about {_duration(total / count)} "
        f"with {count} workers, "
        f"each {estimate.memory / 1e9:.1f} GB of memory ({count * estimate.memory / 1e9:.1f} GB together). "
        f"Estimated from {estimate.basis}.",
        highlight=False,
    )


def _duration(seconds: float) -> str:
    """Write a time as a reader takes it in.

    Examples
    --------
    >>> [_duration(each) for each in (0.0, 42.3, 3e3, 1e5)]
    ['0 s', '42 s', '50 min', '27.8 h']
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _say(message: str) -> None:
    errors.print(message, highlight=False, soft_wrap=True, markup=False)
