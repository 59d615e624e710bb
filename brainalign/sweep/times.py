"""How long cells took, kept beside the results and never part of them."""

from collections import defaultdict
from pathlib import Path
from statistics import mean

FILE = "times.csv"


class Times:
    """Durations and memory of cells, a line each: kind, seconds, bytes.

    Parameters
    ----------
    folder
        The experiment's folder.
    """

    def __init__(self, folder: Path):
        self.path = folder / FILE

    def add(self, kind: str, seconds: float, memory: int) -> None:
        """Note a cell; that it cannot be written harms nothing."""
        try:
            with self.path.open("a") as file:
                file.write(f"{kind},{seconds:.4f},{memory}\n")
        except OSError:
            return

    def means(self) -> tuple[dict[str, float], int]:
        """Give the mean seconds of each kind, and the largest memory of a worker."""
        seconds: dict[str, list[float]] = defaultdict(list)
        memory = 0
        for line in self.path.read_text(errors="replace").splitlines() if self.path.is_file() else []:
            kind, _, rest = line.partition(",")
            try:
                duration, peak = rest.split(",")
                seconds[kind].append(float(duration))
                memory = max(memory, int(peak))
            except ValueError:
                continue  # a line that was cut short
        return {kind: mean(values) for kind, values in seconds.items()}, memory
