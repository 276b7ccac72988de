"""Losses by epoch, in memory and in a file that can be watched while a training runs."""

import json
import os
from pathlib import Path

History = dict[str, list[float]]
"""Values by epoch, by name: `loss`, `val_loss`, `learning_rate` and the network's metrics."""


def write_history(path: Path, history: History) -> None:
    """Write one JSON object a line and epoch; the file is whole at every moment."""
    names = list(history)
    epochs = zip(*history.values(), strict=True)
    lines = [
        json.dumps({"epoch": epoch, **dict(zip(names, values, strict=True))})
        for epoch, values in enumerate(epochs, start=1)
    ]
    partial = path.with_suffix(".partial")
    partial.write_text("".join(line + "\n" for line in lines), "utf-8")
    os.replace(partial, path)
