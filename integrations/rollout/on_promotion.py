"""A promotion or a rollback in the log -> a roll-out to the cluster, and a notice of how it ended."""

from covidctnet.promotion.log import PromotionLog
from integrations.notifications import Event, Notice, NotificationSettings, notify, without_identity
from integrations.registry import find_model
from integrations.registry_webhook import Ending, Pause
from integrations.rollout.deploy import DeploySettings, roll_out
from integrations.rollout.store import Clock
from integrations.tracking_client import TrackingSettings

_NOTICES: dict[str, tuple[Event, str, str]] = {
    "rolled out": ("live", "a promoted model serves", "Nothing is to be done."),
    "returned": (
        "returned",
        "a promoted model was rolled out and went back",
        "The earlier model serves, but is not champion any more. Roll back with `covidctnet model rollback`, or "
        "correct the cause and call `covidctnet deploy @champion --again`.",
    ),
    "failed": (
        "not_live",
        "a promoted model could not be rolled out",
        "See what `covidctnet deploy @champion` says. What is an outage is tried on and on; anything else is not.",
    ),
    "not confirmed": (
        "not_live",
        "an alias was set that the promotion log does not confirm",
        "Nothing was rolled out. Find out who set it, then run `covidctnet model sync`.",
    ),
}


def roll_out_promoted(
    version: str, pause: Pause, *, log: PromotionLog, registry: TrackingSettings, settings: DeploySettings
) -> Ending:
    """Have a version serve that the log says is champion; a way back goes without shadow and canary.

    Args:
        version: of the registered model.
        pause: waits; may raise.
        log: of the promotions.
        registry: where MLflow is.
        settings: of the site.

    Raises:
        RolloutInterruptedError: as `pause` says.
        RolloutConflictError: another process is at it.
        RolloutError: the version was returned before, or the cluster refuses.
        LogTamperedError: the log does not pass its checks.
        TrackingError: there is no such version, or MLflow does not answer.
        ConfigError: there is no access to a cluster.
    """
    uri = f"models:/{registry.model}/{version}"
    moves = [move for move in log.read().moves if move.action != "challenge"]
    ended = roll_out(
        uri,
        registry=registry,
        settings=settings,
        at_once=bool(moves) and moves[-1].action == "rollback",
        clock=Clock(sleep=pause),
    )
    serving = ended.serving.pair_id if ended.serving is not None else None
    if serving == find_model(uri, settings=registry).tags.get("pair_id"):
        return Ending(outcome="rolled out")
    return Ending(outcome="returned", reasons=ended.reasons)


def tell_ending(number: int, version: str, ending: Ending, settings: NotificationSettings) -> None:
    """Deliver a notice of how a roll-out ended; a channel that does not take it is named in the log.

    Args:
        number: of the delivery.
        version: of the registered model.
        ending: what became of it.
        settings: who is told.
    """
    event, title, next_step = _NOTICES[ending.outcome]
    notice = Notice(
        event=event,
        title=title,
        data_version="",
        model_version=int(version),
        candidate="",
        champion="",
        reasons=without_identity(ending.reasons),
        next_step=next_step,
        occasion=f"delivery {number}",
    )
    notify(notice, settings)
