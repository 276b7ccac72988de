"""What is told of a retraining: asks for a promotion, or says why there is none."""

from pathlib import Path

from integrations.notifications import Notice, NotificationSettings, notify, without_identity
from integrations.steps.gate import NO_CHAMPION
from pipelines.retraining.record import RetrainRecord

_TITLES = {
    "challenger": "a new model passed the gate and asks for its promotion",
    "refused": "a new model was refused",
    "failed": "a retraining failed",
}


def tell(record: RetrainRecord, settings: NotificationSettings, workspace: Path) -> None:
    """Deliver a record's notice to the channels that are owed it, and keep on record who could not be told.

    A kill while sending sends it again; the receiver knows it by its identifier.

    Args:
        record: in an end state.
        settings: who is told.
        workspace: of the record.
    """
    if record.owed:
        record.owed = notify(make_notice(record), settings, only=record.owed)
        record.save(workspace)


def make_notice(record: RetrainRecord) -> Notice:
    """The notice of a record in an end state; reasons that may name somebody are left out."""
    return Notice(
        event=record.state,  # type: ignore[arg-type]
        title=_TITLES[record.state],
        data_version=record.data_version,
        model_version=record.model_version,
        candidate=record.candidate,
        champion="" if record.champion == NO_CHAMPION else record.champion,
        reasons=_reasons(record),
        next_step=next_step(record),
    )


def next_step(record: RetrainRecord) -> str:
    """What a person should do now."""
    if record.state == "challenger":
        return (
            f"Read the decision; then promote version {record.model_version} with "
            '`covidctnet model promote DECISION --why "..."`, or leave it.'
        )
    if record.state == "refused":
        return "The champion stays. Read the decision or the validation report, and correct the data or the policy."
    return "Nothing was changed. Run `covidctnet retrain` again: it goes on where it stopped."


def _reasons(record: RetrainRecord) -> tuple[str, ...]:
    if not record.candidate:
        # The words of an error may hold a pseudonym; its class does not.
        return tuple(reason.split(":")[0] + "; the workspace holds the reason" for reason in record.reasons)
    return without_identity(record.reasons)
