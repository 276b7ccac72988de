import math
from dataclasses import replace

import pytest

from covidctnet.config import EvaluationConfig, load_profile
from covidctnet.experiments.arms import ArmsText, conclude_arms
from covidctnet.experiments.build import About, ResultFolder
from covidctnet.experiments.results import load_result
from tests.helpers.experiments import make_answers, make_cases

CASES = make_cases(14)
TEXT = ArmsText(title="T", question="Q?", tested="new", order=("old", "new"))


@pytest.fixture
def target(tmp_path):
    about = About(
        experiment="ablation",
        config=replace(load_profile("smoke"), evaluation=EvaluationConfig(bootstrap_samples=100)),
        seeds=(0, 1, 2, 3),
        data_version="d",
        code_version="c",
        cases={"Control": 14, "Covid-19": 14, "CAP": 14},
        real_patients=0,
        simulated=True,
    )
    return ResultFolder(tmp_path, about)


def answers(arm, skill, **changed):
    return [replace(make_answers(CASES, arm=arm, seed=seed, skill=skill), **changed) for seed in range(4)]


@pytest.mark.parametrize(("skill", "word"), [(3.0, "'new' was better."), (-3.0, "'new' was worse.")])
def test_the_verdict_goes_the_way_that_the_answers_go(target, skill, word):
    result = conclude_arms(target, [*answers("new", skill), *answers("old", 0.0)], TEXT)
    assert result.statements[0].text.endswith(word)
    assert load_result(target.folder) == result


def test_equal_arms_are_not_told_apart(target):
    again = [replace(entry, arm="old") for entry in answers("new", 1.0)]
    result = conclude_arms(target, [*answers("new", 1.0), *again], TEXT)
    assert "Neither is shown to be better" in result.statements[0].text
    assert result.statements[0].tone == "warning"


def test_an_arm_that_learnt_nothing_is_said_to_be_no_baseline(target):
    guessing = [1.2, math.log(3)]
    stuck = {"loss": guessing, "val_loss": guessing, "accuracy": [0.3, 0.33], "val_accuracy": [0.3, 0.33]}
    result = conclude_arms(target, [*answers("new", 3.0), *answers("old", 0.0, history=stuck)], TEXT)
    told = [statement for statement in result.statements if "learnt nothing" in statement.text]
    assert [(entry.tone, "'old'" in entry.text, "'new'" in entry.text) for entry in told] == [("warning", True, False)]


def test_where_every_arm_has_learnt_none_is_called_stuck(target):
    fine = conclude_arms(target, [*answers("new", 3.0), *answers("old", 0.0)], TEXT)
    assert not any("learnt nothing" in statement.text for statement in fine.statements)
