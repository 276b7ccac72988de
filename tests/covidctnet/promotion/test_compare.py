"""Bundles, cohort and ledger in; reports, decision and page out, through the Predictor."""

import json
import shutil
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from covidctnet.bundle import load_bundle
from covidctnet.cohort import Cohort
from covidctnet.dicom.case_header import sex_and_age_band
from covidctnet.errors import BundleError, CohortError, PromotionError
from covidctnet.predictor import Predictor
from covidctnet.promotion.compare import compare_models
from covidctnet.promotion.decision import Decision, load_decision
from covidctnet.promotion.holdout import Holdout
from covidctnet.promotion.holdout_use import read_uses
from covidctnet.promotion.policy import load_policy
from covidctnet.promotion.reports import load_report
from covidctnet.splits import Ledger
from tests.helpers.contest import loader, write_cohort, write_model

RIGHT = [0, 1, 2] * 3


@dataclass
class Contest:
    folder: Path
    answers: dict[bytes, list[int]]

    def run(self, champion: bool = True, **options: Any) -> Decision:
        arguments: dict[str, Any] = {
            "cohort": self.folder / "cohort",
            "ledger": self.folder / "cohort" / "splits.csv",
            "policy": load_policy("demo"),
            "uses": self.folder / "uses.jsonl",
            "why": "test",
            "output": self.folder / "decision",
            "validation": self.folder / "verdict.json",
            "load": loader(self.answers),
        }
        return compare_models(
            self.folder / "candidate", self.folder / "champion" if champion else None, **(arguments | options)
        )

    def verdict(self, name: str, decision: Decision) -> str:
        return next(rule.verdict for rule in decision.rules if rule.rule == name and not rule.group)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("contest") / "cohort")


@pytest.fixture
def contest(cohort: Path, tmp_path: Path) -> Contest:
    shutil.copytree(cohort, tmp_path / "cohort")
    write_model(tmp_path / "candidate", weights=b"candidate")
    write_model(tmp_path / "champion", weights=b"champion")
    (tmp_path / "verdict.json").write_text(json.dumps({"passed": True, "failures": []}))
    return Contest(tmp_path, {b"candidate": list(RIGHT), b"champion": list(RIGHT)})


def test_as_good_a_model_is_promoted_and_everything_is_kept(contest: Contest) -> None:
    decision = contest.run()
    folder = contest.folder / "decision"
    assert decision.promote, decision.reasons
    assert load_decision(folder / "decision.json") == decision
    candidate, champion = (load_report(folder / f"{role}.json") for role in ("candidate", "champion"))
    assert (candidate.pair_id, champion.pair_id) == (decision.candidate, decision.champion)
    assert [case.covid_positive for case in candidate.cases] == [label == 1 for label in RIGHT]
    assert {case.brand for case in candidate.cases} == {"Siemens", "GE"}
    assert {case.site for case in candidate.cases} == {"site-0", "site-1"}
    assert candidate.metadata_auc == pytest.approx(0.5)
    assert "The candidate may be promoted." in (folder / "decision.html").read_text()
    (use,) = read_uses(contest.folder / "uses.jsonl")
    assert (use.candidate, use.champion, use.why) == (decision.candidate, decision.champion, "test")
    assert use.holdout_version == decision.holdout_version == candidate.holdout_version


def test_a_worse_model_is_refused_with_the_reason(contest: Contest) -> None:
    contest.answers[b"candidate"] = [0, 0, 2] * 3
    decision = contest.run()
    assert not decision.promote
    assert contest.verdict("non-inferior sensitivity", decision) == "failed"
    assert "The candidate is refused." in (contest.folder / "decision" / "decision.html").read_text()


def test_a_first_model_leaves_no_report_of_a_champion(contest: Contest) -> None:
    contest.run()
    decision = contest.run(champion=False)
    assert decision.promote
    assert not (contest.folder / "decision" / "champion.json").exists()
    assert (decision.holdout_uses, decision.holdout_candidates) == (2, 1)


@pytest.mark.parametrize("role", ["candidate", "champion"])
def test_a_damaged_bundle_is_a_refusal_and_answers_nothing(contest: Contest, role: str) -> None:
    (contest.folder / role / "config.json").write_text("{}")
    decision = contest.run()
    assert contest.verdict(f"{role} integrity", decision) == "failed"
    assert not decision.promote
    assert load_report(contest.folder / "decision" / f"{role}.json").cases == ()


@pytest.mark.parametrize("role", ["candidate", "champion"])
def test_networks_that_cannot_be_loaded_or_answer_nonsense_are_a_refusal(contest: Contest, role: str) -> None:
    usual = loader(contest.answers)

    def broken(folder: Path) -> Predictor:
        if folder.name == role:
            raise BundleError("the classifier cannot be loaded")
        return usual(folder)

    def nonsense(folder: Path) -> Predictor:
        if folder.name != role:
            return usual(folder)
        bundle = load_bundle(folder)
        return Predictor(bundle, denoiser=lambda batch: batch * np.nan, classify=lambda stacks: stacks)

    for load in (broken, nonsense):
        usual = loader(contest.answers)
        decision = contest.run(load=load)
        assert contest.verdict(f"{role} integrity", decision) == "failed"
        assert not decision.promote


def test_a_bundle_that_changes_while_it_answers_is_not_intact(contest: Contest) -> None:
    def change(stage: str, done: int, total: int) -> None:
        (contest.folder / "candidate" / "denoiser.keras").write_bytes(b"other")

    decision = contest.run(on_progress=change)
    assert contest.verdict("candidate integrity", decision) == "failed"
    assert not decision.promote


def test_training_patients_of_either_model_in_the_holdout_refuse(contest: Contest) -> None:
    for role in ("candidate", "champion"):
        write_model(contest.folder / f"leaky-{role}", weights=role.encode(), trained_on=("patient-12", "patient-03"))
    leaky = compare(contest, candidate="leaky-candidate")
    assert contest.verdict("candidate training patients", leaky) == "failed"
    unfair = compare(contest, champion="leaky-champion")
    assert contest.verdict("champion training patients", unfair) == "failed"


def compare(contest: Contest, *, candidate: str = "candidate", champion: str = "champion") -> Decision:
    return compare_models(
        contest.folder / candidate,
        contest.folder / champion,
        cohort=contest.folder / "cohort",
        ledger=contest.folder / "cohort" / "splits.csv",
        policy=load_policy("demo"),
        uses=contest.folder / "uses.jsonl",
        why="test",
        output=contest.folder / "decision",
        validation=contest.folder / "verdict.json",
        load=loader(contest.answers),
    )


def test_without_a_verdict_of_the_validation_nothing_is_promoted(contest: Contest) -> None:
    assert contest.verdict("validation", contest.run(validation=None)) == "not enough evidence"
    path = contest.folder / "verdict.json"
    path.write_text(json.dumps({"passed": False, "failures": ["not met: enough patients"]}))
    assert "not met: enough patients" in " ".join(contest.run().reasons)
    for text in ("{}", '{"passed": "maybe"}', "no"):
        path.write_text(text)
        with pytest.raises(PromotionError):
            contest.run()
    path.write_text(json.dumps({"passed": True, "data_version": "d2"}))
    with pytest.raises(PromotionError, match="about data version d2, but d1 trained"):
        contest.run()


def test_an_interrupted_comparison_counts_and_leaves_no_decision(contest: Contest) -> None:
    contest.run()

    def stop(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        contest.run(on_progress=stop)
    assert not (contest.folder / "decision" / "decision.json").exists()
    assert len(read_uses(contest.folder / "uses.jsonl")) == 2


def test_a_study_that_the_reader_refuses_counts_as_wrong(contest: Contest) -> None:
    place = contest.folder / "cohort"
    cohort = Cohort.load(place)
    bad = next(case for case in cohort.cases if case.case == "case-01")
    cohort.path("case-01").write_bytes(b"no zip")
    digest = sha256(b"no zip").hexdigest()
    replace(cohort, cases=tuple(replace(c, sha256=digest) if c is bad else c for c in cohort.cases)).save()
    contest.answers = {name: [0, 2, 0, 1, 2, 0, 1, 2] for name in contest.answers}
    contest.run()
    report = load_report(contest.folder / "decision" / "candidate.json")
    refused = report.cases[1]
    assert (refused.case, refused.probabilities, refused.covid_positive) == ("case-01", None, None)
    assert refused.brand == "Siemens"
    assert report.intact


def test_sex_and_age_come_from_a_table(contest: Contest) -> None:
    table = contest.folder / "cohort" / "demographics.csv"
    table.write_text("patient,sex,age_band\npatient-00,F,45-64\npatient-01,M,65+\n")
    contest.run()
    cases = load_report(contest.folder / "decision" / "candidate.json").cases
    assert [(case.sex, case.age_band) for case in cases[:3]] == [("F", "45-64"), ("M", "65+"), ("", "")]
    for text, match in (
        ("patient,sex\n", "must have the columns"),
        ("patient,sex,age_band\npatient-00,woman,\n", "sex and age of patient patient-00"),
        ("patient,sex,age_band\npatient-00,F,\npatient-00,M,\n", "more than once"),
    ):
        table.write_text(text)
        with pytest.raises(PromotionError, match=match):
            contest.run()
    with pytest.raises(PromotionError, match=r"there is no other\.csv"):
        contest.run(demographics=contest.folder / "other.csv")


def test_sex_and_age_come_from_headers_that_kept_them_and_the_table_is_asked_first(contest: Contest) -> None:
    told = {0: ("F", "051Y"), 1: ("M", "090Y"), 2: ("O", ""), 3: ("", "011M"), 4: ("M", "18Y")}

    def say(image: Any, number: int) -> None:
        image.PatientSex, image.PatientAge = told.get(number, ("", ""))

    shutil.rmtree(contest.folder / "cohort")
    place = write_cohort(contest.folder / "cohort", say=say)
    (place / "demographics.csv").write_text("patient,sex,age_band\npatient-01,F,45-64\n")
    decision = contest.run()
    cases = load_report(contest.folder / "decision" / "candidate.json").cases
    assert [(case.sex, case.age_band) for case in cases[:6]] == [
        ("F", "45-64"), ("F", "45-64"), ("O", ""), ("", "0-17"), ("M", ""), ("", ""),
    ]  # fmt: skip
    groups = {rule.group for rule in decision.rules}
    assert {"sex F", "sex M", "sex O", "age 45-64", "age 0-17", "age not recorded"} <= groups


@pytest.mark.parametrize(
    ("age", "band"),
    [("000Y", "0-17"), ("017Y", "0-17"), ("018Y", "18-44"), ("044Y", "18-44"), ("045Y", "45-64"), ("064Y", "45-64"),
     ("065Y", "65+"), ("090Y", "65+"), ("400D", "0-17"), ("45", ""), ("045", ""), ("", "")],
)  # fmt: skip
def test_ages_fall_into_bands(age: str, band: str) -> None:
    header = Dataset()
    header.PatientAge, header.PatientSex = age, "F"
    assert sex_and_age_band(header) == ("F", band)
    header.PatientSex = "female"
    assert sex_and_age_band(header) == ("", band)


def test_the_holdout_is_that_of_the_ledger_and_its_version_follows_its_content(contest: Contest) -> None:
    place = contest.folder / "cohort"
    holdout = Holdout.load(place, place / "splits.csv")
    assert [case.case for case in holdout.cohort.cases] == [f"case-{number:02d}" for number in range(9)]
    cohort = Cohort.load(place)
    grown = contest.folder / "grown.csv"
    Ledger(rows=Ledger.load(place / "splits.csv").rows[:9]).save(grown)
    assert Holdout.load(place, grown).version == holdout.version
    Ledger(rows=Ledger.load(place / "splits.csv").rows[:8]).save(contest.folder / "fewer.csv")
    assert Holdout.load(place, contest.folder / "fewer.csv").version != holdout.version
    with pytest.raises(PromotionError, match=r"no case of the cohort is in the hold-out of none\.csv"):
        Holdout.load(place, contest.folder / "none.csv")
    cohort.path("case-00").write_bytes(b"changed")
    with pytest.raises(CohortError, match="1 of 9 zips were changed"):
        Holdout.load(place, place / "splits.csv")


def test_a_folder_without_a_bundle_is_an_error(contest: Contest) -> None:
    with pytest.raises(BundleError, match=r"no readable manifest\.json"):
        compare(contest, candidate="cohort")
