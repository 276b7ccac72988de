"""What is new, and whether it is worth a run: pure functions of two tables and a policy."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covidctnet.errors import ConfigError, DataStoreError
from integrations.data_versions import add_version
from integrations.data_workspace import create_workspace, open_workspace
from pipelines.retraining.plan import News, make_plan, tell_news
from pipelines.retraining.policy import load_retrain_policy
from tests.helpers.contest import write_cohort

POLICY = load_retrain_policy()
NOTHING = News(
    data_version="b.dir", since="a.dir", cases=100, added=0, removed=0, relabelled=0, labels={}, sites={}, scanners={}
)


def test_nothing_new_is_not_worth_a_run_and_a_first_one_is() -> None:
    plan = make_plan(NOTHING, POLICY)
    assert (plan.worth, plan.reasons) == (False, ("no case was added, removed or relabelled",))
    assert make_plan(replace(NOTHING, since=""), POLICY).worth


@pytest.mark.parametrize(
    ("news", "reason"),
    [
        ({"added": 100}, "100 cases were added, 100 are enough"),
        ({"sites": {"c": 10}}, "10 cases of the new site c, 10 are enough"),
        ({"scanners": {"GE New": 10}}, "10 cases of the new scanner GE New, 10 are enough"),
        ({"relabelled": 10}, "10 cases have a corrected label, 10 are enough"),
        ({"removed": 1}, "1 cases were removed, 1 are enough"),
    ],
)
def test_each_reason_is_enough_by_itself_and_one_case_less_is_not(news: dict, reason: str) -> None:
    plan = make_plan(replace(NOTHING, **news), POLICY)
    assert (plan.worth, plan.reasons) == (True, (reason,))
    (name, value) = next(iter(news.items()))
    less = {key: count - 1 for key, count in value.items()} if isinstance(value, dict) else value - 1
    assert not make_plan(replace(NOTHING, **{name: less}), POLICY).worth


def test_a_reason_that_the_policy_leaves_out_is_none() -> None:
    policy = replace(POLICY, removed_cases=None)
    plan = make_plan(replace(NOTHING, removed=500), policy)
    assert (plan.worth, plan.reasons) == (False, ("500 cases were removed, which is no reason by itself",))


COUNTS = st.integers(0, 30)
NEWS = st.builds(
    lambda added, removed, relabelled, sites, scanners: replace(
        NOTHING, added=added, removed=removed, relabelled=relabelled, sites=sites, scanners=scanners
    ),
    st.integers(0, 200), COUNTS, COUNTS, st.dictionaries(st.sampled_from("abc"), COUNTS.filter(bool)),
    st.dictionaries(st.sampled_from(["GE X", "Siemens Y"]), COUNTS.filter(bool)),
)  # fmt: skip


@given(NEWS, st.sampled_from(["added", "removed", "relabelled"]))
def test_more_news_never_makes_a_run_less_worth(news: News, name: str) -> None:
    more = replace(news, **{name: getattr(news, name) + 1})
    assert make_plan(more, POLICY).worth >= make_plan(news, POLICY).worth


def test_two_versions_of_a_workspace_are_compared_by_their_tables(tmp_path: Path) -> None:
    write_cohort(tmp_path / "data", holdout=3, train=3)
    create_workspace(tmp_path)
    first = add_version(tmp_path, "first")
    (tmp_path / "data" / "splits.csv").unlink()
    write_cohort(tmp_path / "data", holdout=9, train=3)
    second = add_version(tmp_path, "second")
    place = open_workspace(tmp_path)
    news = tell_news(place, second, first)
    assert (news.cases, news.added, news.removed, news.relabelled) == (12, 6, 0, 0)
    assert news.labels == {"CAP": 2, "Control": 2, "Covid-19": 2}
    assert (news.sites, sum(news.scanners.values())) == ({}, 0 if news.scanners == {} else 6)
    back = tell_news(place, first, second)
    assert (back.added, back.removed) == (0, 6)
    assert tell_news(place, second, "").added == 12
    with pytest.raises(DataStoreError, match=r"data version gone\.dir was trained last"):
        tell_news(place, second, "gone.dir")


def test_the_plan_reads_as_a_comment_and_names_no_case(tmp_path: Path) -> None:
    write_cohort(tmp_path / "data", holdout=3, train=3)
    create_workspace(tmp_path)
    version = add_version(tmp_path, "first")
    text = make_plan(tell_news(open_workspace(tmp_path), version, ""), POLICY, start_from="a" * 16).to_markdown()
    for words in ("### Retraining plan", version, "| new sites | site-0 3, site-1 3 |", "bundle aaaaaaaaaaaaaaaa",
                  "**Worth a run:** nothing was trained yet.", "Not a medical device"):  # fmt: skip
        assert words in text
    assert "case-0" not in text
    assert "patient-" not in text


@pytest.mark.parametrize("change", [{"new_cases": 0}, {"start": "anywhere"}, {"attempts": 0}, {"cases": 3}])
def test_a_wrong_policy_is_refused_by_field(change: dict, tmp_path: Path) -> None:
    import yaml

    values = {name: getattr(POLICY, name) for name in POLICY.__dataclass_fields__}
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump({**values, **change}))
    with pytest.raises(ConfigError, match=next(iter(change))):
        load_retrain_policy(path)
    with pytest.raises(ConfigError, match="there is no retraining policy"):
        load_retrain_policy(tmp_path / "absent.yaml")
