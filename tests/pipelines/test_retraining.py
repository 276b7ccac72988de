"""Retraining as a state machine: done once, gone on with after any kill, never a promotion, nobody untold."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from covidctnet.config import Config
from covidctnet.errors import CohortError, DataStoreError, PipelineError, TrainingInterruptedError
from covidctnet.promotion.log import PromotionLog
from integrations.aliases_mlflow import registered_aliases
from integrations.data_ingest import remove_patient
from integrations.data_versions import add_version
from integrations.data_workspace import open_workspace
from integrations.steps.gate import NO_CHAMPION
from pipelines.gate import Gate
from pipelines.retraining import execute, notices
from pipelines.retraining.execute import retrain
from pipelines.retraining.record import RetrainRecord, find_retraining
from pipelines.retraining.runners import RunState, Start
from tests.helpers.contest import write_cohort
from tests.helpers.retraining_desk import Desk, Registry, TableRunner, make_registry, open_desk


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def grow_cohort(data: Path) -> None:
    """Three patients more."""
    (data / "splits.csv").unlink()
    write_cohort(data, holdout=6, train=3)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return make_registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def desk(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("COVIDCTNET_WEBHOOK_SECRET", "a-secret-of-the-test")
    monkeypatch.setattr(execute, "last_trained", lambda settings: "")
    with open_desk(tmp_path, registry) as opened:
        yield opened


def test_a_first_model_becomes_challenger_and_asks_and_nobody_promotes(desk: Desk, registry: Registry) -> None:
    outcome = desk.call()
    assert outcome.plan is not None
    assert outcome.plan.reasons == ("nothing was trained yet",)
    assert desk.record.state == "challenger"
    assert (desk.record.candidate, desk.record.model_version) == (registry.second, 2)
    (move,) = desk.task.log.read().moves
    assert (move.action, move.model, move.who) == ("challenge", registry.second, "ada")
    assert registered_aliases(registry.settings) == desk.task.log.read().aliases
    (notice,) = desk.told
    assert (notice["event"], notice["model_version"], notice["champion"]) == ("challenger", 2, "")
    assert "covidctnet model promote" in notice["next_step"]


def test_the_same_data_version_twice_does_nothing_and_says_so(desk: Desk) -> None:
    desk.call()
    before = desk.record
    again = desk.call()
    assert again.done_before
    assert (len(desk.runner.gates), len(desk.told), len(desk.task.log.read().moves)) == (1, 1, 1)
    assert desk.record == before == again.record


def test_a_refusal_is_told_with_its_reason_and_moves_nothing(desk: Desk) -> None:
    desk.runner.refused = True
    desk.call()
    assert desk.record.state == "refused"
    assert any("candidate integrity" in reason for reason in desk.record.reasons)
    assert desk.task.log.read().moves == ()
    assert (desk.told[0]["event"], desk.told[0]["reasons"]) == ("refused", desk.record.reasons)
    assert desk.call().done_before
    desk.runner.refused = False
    desk.call(again=True)
    assert desk.record.state == "challenger"
    assert len(list((desk.task.workspace / "retraining").glob("*.json"))) == 2


def test_a_champion_is_compared_with_and_started_from_as_the_policy_says(desk: Desk, registry: Registry) -> None:
    desk.promote_elsewhere(registry.first)
    desk.call()
    assert desk.runner.gates[0].champion == registry.first
    assert desk.runner.configs[0].start_from == registry.first
    assert desk.record.state == "challenger"
    seed = replace(desk.task, policy=replace(desk.task.policy, start="seed"))
    retrain(seed, again=True)
    assert desk.runner.configs[1].start_from == ""


def test_nothing_starts_from_a_champion_that_knows_who_was_taken_out(desk: Desk, registry: Registry) -> None:
    desk.promote_elsewhere(registry.first)
    data = desk.task.workspace / "data"
    remove_patient(open_workspace(desk.task.workspace), "patient-04")
    assert not list(data.glob("cases/case-04.zip"))
    outcome = desk.call()
    assert outcome.plan is not None
    assert (outcome.plan.start_from, desk.runner.configs[0].start_from) == ("", "")


def test_an_error_that_nobody_thought_of_is_told_as_well(desk: Desk) -> None:
    desk.runner.fail = [ZeroDivisionError("patient p-17")]
    with pytest.raises(ZeroDivisionError):
        desk.call()
    assert (desk.record.state, desk.record.reasons) == ("failed", ["ZeroDivisionError"])
    assert [notice["event"] for notice in desk.told] == ["failed"]


def test_a_champion_that_changes_meanwhile_is_the_one_that_is_compared_with(desk: Desk, registry: Registry) -> None:
    desk.runner.meanwhile = lambda: desk.promote_elsewhere(registry.first)
    desk.call()
    assert [gate.champion for gate in desk.runner.gates] == [NO_CHAMPION, registry.first]
    # What was trained is used again: only the champion is another one.
    assert desk.runner.configs[0] == desk.runner.configs[1]
    assert desk.task.log.read().aliases.challenger == registry.second
    assert desk.record.champion == registry.first


@contextmanager
def killing(number: int, *, before: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Count everything that leaves a trace, and die before or after the one with the number."""
    seen: list[str] = []

    def watch(owner: Any, name: str) -> None:
        whole = getattr(owner, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            seen.append(name)
            mine = len(seen) - 1
            if mine == number and before:
                raise Killed
            result = whole(*arguments, **named)
            if mine == number:
                raise Killed
            return result

        patch.setattr(owner, name, watched)

    with monkeypatch.context() as patch:
        watch(RetrainRecord, "save")
        watch(PromotionLog, "append")
        watch(TableRunner, "run")
        watch(notices, "notify")
        import integrations.aliases_mlflow

        watch(integrations.aliases_mlflow, "sync_aliases")
        yield seen


@pytest.mark.parametrize("refused", [False, True])
def test_killed_at_any_point_and_called_again_it_ends_the_same(
    desk: Desk, registry: Registry, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.runner.refused = refused
    for before in (True, False):
        number = 0
        while True:
            told, moves = len(desk.told), len(desk.task.log.read().moves)
            # Another decision each time: the one of before has set its challenger already.
            desk.runner.uses += 1
            with killing(number, before=before, monkeypatch=monkeypatch) as seen:
                try:
                    desk.call(again=True)
                except Killed:
                    killed = True
                else:
                    killed = False
            if not killed:
                assert number == len(seen) >= 5
                break
            outcome = desk.call()
            state = outcome.record.state if outcome.record else ""
            assert state == ("refused" if refused else "challenger"), (seen, before)
            made = [move.action for move in desk.task.log.read().moves[moves:]]
            assert made == ([] if refused else ["challenge"]), (seen, before)
            assert desk.record.owed == []
            # Told once at least; what was sent twice is one notice to its receiver.
            sent = desk.hook.took[told:]
            assert sent, (seen, before)
            assert len({headers["webhook-id"] for headers, _ in sent}) == 1
            assert desk.told[-1]["event"] == state
            number += 1
    if not refused:
        assert desk.task.log.read().aliases.challenger == registry.second
        assert registered_aliases(registry.settings).challenger == registry.second


def test_a_run_that_fails_is_told_and_tried_again_until_a_person_must_look(desk: Desk) -> None:
    desk.runner.fail = [PipelineError("step evaluate ended: patient p-17 is odd"), PipelineError("again")]
    with pytest.raises(PipelineError, match="patient p-17"):
        desk.call()
    assert (desk.record.state, desk.record.attempts) == ("failed", 1)
    assert desk.told[0]["reasons"] == ["PipelineError; the workspace holds the reason"]
    with pytest.raises(PipelineError, match="again"):
        desk.call()
    with pytest.raises(PipelineError, match=r"failed 2 times \(PipelineError: again\).*--again"):
        desk.call()
    assert (len(desk.runner.gates), len(desk.told)) == (2, 2)
    desk.call(again=True)
    assert desk.record.state == "challenger"


def test_data_that_is_not_fit_is_a_refusal_and_names_nobody(desk: Desk) -> None:
    desk.runner.fail = [CohortError("step validate scanner metadata: the data fails: p-17, p-18")]
    desk.call()
    assert desk.record.state == "refused"
    assert "p-17" in desk.record.reasons[0]
    assert "p-17" not in json.dumps(desk.told)
    assert desk.call().done_before


def test_a_stop_that_was_asked_for_is_no_failure(desk: Desk) -> None:
    desk.runner.fail = [TrainingInterruptedError("stopped in step train denoiser")]
    with pytest.raises(TrainingInterruptedError):
        desk.call()
    assert (desk.record.state, desk.record.attempts, desk.told) == ("started", 1, [])
    desk.call()
    assert (desk.record.state, desk.record.attempts) == ("challenger", 1)


def test_who_could_not_be_told_is_told_by_the_next_call(desk: Desk) -> None:
    desk.hook.answers = [500]
    desk.call()
    assert (desk.record.state, desk.record.owed) == ("challenger", ["webhook 1"])
    assert desk.call().done_before
    assert desk.record.owed == []
    first, second = (headers["webhook-id"] for headers, _ in desk.hook.took)
    assert first == second
    desk.call()
    assert len(desk.hook.took) == 2


def test_a_decision_about_other_data_is_none(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TableRunner.run

    def wrong(runner: TableRunner, config: Config, data_version: str, gate: Gate, *, started: Start) -> RunState:
        return whole(runner, config, "another.dir", gate, started=started)

    monkeypatch.setattr(TableRunner, "run", wrong)
    with pytest.raises(PipelineError, match=r"data version another\.dir"):
        desk.call()
    assert desk.task.log.read().moves == ()


def test_data_that_is_in_no_version_is_not_trained_on(desk: Desk) -> None:
    grow_cohort(desk.task.workspace / "data")
    with pytest.raises(DataStoreError, match="in no version"):
        desk.call()
    assert find_retraining(desk.task.workspace, desk.version) is None


def test_two_at_once_are_one(desk: Desk) -> None:
    def second() -> None:
        with pytest.raises(PipelineError, match="under way in this workspace"):
            desk.call()

    desk.runner.meanwhile = second
    desk.call()
    assert desk.record.state == "challenger"


def test_what_is_not_worth_a_run_leaves_no_record(desk: Desk) -> None:
    grow_cohort(desk.task.workspace / "data")
    newer = add_version(desk.task.workspace, "9 cases")
    outcome = retrain(replace(desk.task, since=desk.version))
    assert outcome.record is None
    assert outcome.plan is not None
    assert outcome.plan.reasons == ("3 cases were added, 100 are needed",)
    assert find_retraining(desk.task.workspace, newer) is None
    assert desk.told == []
    retrain(replace(desk.task, since=desk.version, policy=replace(desk.task.policy, new_cases=3)))
    assert [notice["data_version"] for notice in desk.told] == [newer]


def test_a_damaged_record_is_told_and_not_overwritten(desk: Desk) -> None:
    desk.call()
    path = desk.task.workspace / "retraining" / f"{desk.version.removesuffix('.dir')}.json"
    path.write_text("{")
    with pytest.raises(PipelineError, match="is damaged"):
        desk.call()
    assert path.read_text() == "{"
