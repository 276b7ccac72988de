"""How long-running stages tell their caller how far they are."""

from typing import Protocol


class Progress(Protocol):
    """Called after each finished piece of work."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Note that `done` of `total` pieces of `stage` are finished."""
        ...


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""
