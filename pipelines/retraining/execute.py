"""Retrain: from a new data version to a challenger that asks for its promotion, or to a reasoned refusal."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from covidctnet.config import Config, parse_config
from covidctnet.errors import (
    CohortError,
    CovidCTNetError,
    DataStoreError,
    PipelineError,
    TrainingInterruptedError,
)
from covidctnet.machine import code_version
from covidctnet.promotion.decision import Decision
from covidctnet.promotion.log import PromotionLog
from covidctnet.promotion.moves import challenge, check_decision
from covidctnet.promotion.policy import Policy
from integrations.data_versions import is_changed, version_of
from integrations.data_workspace import open_workspace
from integrations.notifications import NotificationSettings, channels
from integrations.steps.gate import NO_CHAMPION
from integrations.tracking_client import TrackingSettings
from pipelines.gate import Gate
from pipelines.retraining.notices import tell
from pipelines.retraining.plan import Plan, make_plan, tell_news
from pipelines.retraining.policy import RetrainPolicy
from pipelines.retraining.record import RetrainRecord, State, find_retraining, set_aside
from pipelines.retraining.runners import Runner, Start
from pipelines.retraining.trained import last_trained, registered_version, startable

_MOST_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """What a retraining works with.

    Attributes:
        workspace: holds the data and the records.
        config: of the run; its `start_from` is set here.
        policy: whether new data is worth a run.
        gate_policy: in force for promotions.
        log: of the promotions, writable; it says who is champion, and gets the challenger.
        tracking: where the models are registered.
        runner: runs the pipeline.
        notifications: who is told.
        who: for the promotion log.
        since: data version that was trained on last; the newest registered model's where empty.
    """

    workspace: Path
    config: Config
    policy: RetrainPolicy
    gate_policy: Policy
    log: PromotionLog
    tracking: TrackingSettings
    runner: Runner
    notifications: NotificationSettings
    who: str
    since: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a call of `retrain` came to.

    Attributes:
        plan: what is new; None where this data version was done with before.
        record: of the run; None where it is not worth one.
        done_before: whether nothing was done, because this data version was done with.
    """

    plan: Plan | None
    record: RetrainRecord | None
    done_before: bool = False


def plan_retraining(
    workspace: Path,
    policy: RetrainPolicy,
    tracking: TrackingSettings,
    *,
    since: str = "",
    start: Callable[[], str],
) -> Plan:
    """Say what is new in the version that `data.dvc` names, and whether it is worth a run; needs no images.

    Args:
        workspace: holds `data.dvc` and the table of each version.
        policy: what is enough.
        tracking: where the models are registered.
        since: data version that was trained on last; the newest registered model's where empty.
        start: asked for the bundle to start from where the policy starts from the champion; see `startable`.

    Raises:
        DataStoreError: a version is not in the log.
        TrackingError: MLflow does not answer.
    """
    version = version_of(workspace)
    start_from = start() if policy.start == "champion" else ""
    news = tell_news(open_workspace(workspace), version, since or last_trained(tracking))
    if news.since == version:
        return Plan(
            news=news, worth=False, reasons=("a model was trained on this very version",), start_from=start_from
        )
    return make_plan(news, policy, start_from=start_from)


def retrain(task: Retraining, *, again: bool = False) -> Outcome:
    """Train on the workspace's data version, if that is worth a run and was not done before, and set `challenger`.

    It never promotes. Killed at any point and called again, it goes on; called for a data version that is done with, it
    does nothing but deliver what notices are owed.

    Args:
        task: see there.
        again: train on a data version that is done with once more.

    Raises:
        DataStoreError: `data/` holds changes that are in no version, or a version is not in the log.
        PipelineError: another retraining is under way here, the run failed, or has failed too often.
        TrainingInterruptedError: SIGTERM came; nothing is lost.
        CovidCTNetError: what made the run fail. It is on record, and whoever is to be told was told.
    """
    with _only_one(task.workspace):
        version = _require_whole_version(task.workspace)
        record = find_retraining(task.workspace, version)
        spent = record is not None and record.state == "failed" and record.attempts >= task.policy.attempts
        if record and again and (record.over or spent):
            set_aside(task.workspace, record)
            record, spent = None, False
        if record and record.over:
            tell(record, task.notifications, task.workspace)
            return Outcome(plan=None, record=record, done_before=True)
        plan = None
        if record is None:
            plan = plan_retraining(
                task.workspace,
                task.policy,
                task.tracking,
                since=task.since,
                start=lambda: startable(task.log.read().aliases.champion, task.workspace, task.tracking),
            )
            if not plan.worth and not again:
                return Outcome(plan=plan, record=None)
            record = RetrainRecord(
                data_version=version,
                since=plan.news.since,
                plan=list(plan.reasons),
                config=asdict(replace(task.config, start_from=plan.start_from)),
                champion="",
            )
            record.save(task.workspace)
        if spent:
            raise PipelineError(
                f"the retraining of this data version failed {record.attempts} times ({record.reasons[0]}); "
                "when the cause is gone, start it with --again"
            )
        _advance(task, record)
        return Outcome(plan=plan, record=record)


def _advance(task: Retraining, record: RetrainRecord) -> None:
    try:
        _run_and_judge(task, record)
    except TrainingInterruptedError:
        raise
    except CohortError as error:
        # The data itself is refused: no other try would change that.
        _close(task, record, "refused", [f"{type(error).__name__}: {error}"])
    except CovidCTNetError as error:
        _close(task, record, "failed", [f"{type(error).__name__}: {error}"])
        raise
    except Exception as error:
        # Nobody should wait for news of a run that ended for a reason that nobody thought of.
        _close(task, record, "failed", [type(error).__name__])
        raise


def _run_and_judge(task: Retraining, record: RetrainRecord) -> None:
    for _ in range(_MOST_ROUNDS):
        champion = task.log.read().aliases.champion or NO_CHAMPION
        if champion != record.champion:
            # Somebody promoted meanwhile: what the run trained is used again, and judged against the new champion.
            record.champion, record.run, record.state = champion, "", "started"
        gate = Gate(champion=champion, policy=task.gate_policy)
        if record.state == "failed" or not record.attempts:
            _count_start(record)
        started = Start(run=record.run, attempt=record.attempts, code_version=record.code_version or code_version())
        record.code_version = started.code_version
        record.save(task.workspace)
        end = task.runner.run(parse_config(record.config), record.data_version, gate, started=started)
        record.run = end.run
        if end.decision is None:
            record.state = "submitted"
            record.save(task.workspace)
            return
        if (task.log.read().aliases.champion or NO_CHAMPION) == champion:
            _conclude(task, record, end.decision)
            return
    raise PipelineError("the champion keeps changing; run this again when nobody promotes")


def _count_start(record: RetrainRecord) -> None:
    record.attempts += 1
    record.run, record.state, record.code_version, record.reasons = "", "started", "", []


def _conclude(task: Retraining, record: RetrainRecord, folder: Path) -> None:
    decision = check_decision(folder)
    if decision.candidate_data != record.data_version:
        raise PipelineError(
            f"the decision is about a model of data version {decision.candidate_data}, not {record.data_version}"
        )
    record.candidate, record.decision = decision.candidate, str(folder)
    record.model_version = registered_version(task.tracking, decision.candidate)
    if not decision.promote:
        _close(task, record, "refused", list(decision.reasons))
        return
    _challenge(task, folder, decision)
    from integrations.aliases_mlflow import sync_aliases

    sync_aliases(task.log, task.tracking)
    _close(task, record, "challenger", list(decision.reasons))


def _challenge(task: Retraining, folder: Path, decision: Decision) -> None:
    """Set the alias, unless this very decision did so before a kill."""
    if any(move.decision == decision.digest for move in task.log.read().moves):
        return
    why = f"retraining on data version {decision.candidate_data}"
    challenge(task.log, folder, policy=task.gate_policy, who=task.who, why=why)


def _close(task: Retraining, record: RetrainRecord, state: State, reasons: list[str]) -> None:
    record.state, record.reasons = state, reasons
    # Owed from the same moment on: whoever is killed before telling tells when called again.
    record.owed = list(channels(task.notifications))
    record.save(task.workspace)
    tell(record, task.notifications, task.workspace)


def _require_whole_version(workspace: Path) -> str:
    version = version_of(workspace)
    if is_changed(workspace):
        raise DataStoreError("data/ holds changes that are in no version; finish the ingest, or pull the version")
    return version


@contextmanager
def _only_one(workspace: Path) -> Iterator[None]:
    with (workspace / ".retrain-lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PipelineError("a retraining is under way in this workspace; wait for it") from None
        yield
