"""A process that moves an alias at the same moment as another one."""

from pathlib import Path
from typing import Any

from covidctnet.errors import PromotionConflictError
from integrations.aliases import PromotionSettings, open_log


def move_at_once(settings: PromotionSettings, rounds: int, barrier: Any, results: Any, name: str) -> None:
    """In each round: see the same state as the others, wait for them, and move."""
    log = open_log(settings, writable=True)
    for number in range(rounds):
        seen = log.read()
        barrier.wait(60)
        try:
            log.append(
                seen,
                action="promote",
                model=f"{name}-{number}",
                who=name,
                why="race",
                decision="a" * 64,
                policy="default 1",
            )
        except PromotionConflictError as error:
            results.put((number, name, str(error)))
        else:
            results.put((number, name, ""))
        barrier.wait(60)


def promote_at_once(settings: PromotionSettings, folder: Path, policy: Any, barrier: Any, results: Any) -> None:
    """The whole promotion with one decision."""
    from covidctnet.errors import PromotionError
    from covidctnet.promotion.moves import promote

    log = open_log(settings, writable=True)
    barrier.wait(60)
    try:
        promote(log, folder, policy=policy, who="ada", why="race")
    except PromotionError as error:
        results.put(type(error).__name__)
    else:
        results.put("promoted")
