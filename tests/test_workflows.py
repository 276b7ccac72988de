"""The workflows: linted, actions pinned, promotion guarded; their scripts run here as they run there."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from integrations.data_versions import add_version
from integrations.data_workspace import create_workspace
from tests.helpers.contest import write_cohort

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = ROOT / ".github" / "scripts"


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    return loaded


def script(name: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A script with the commands of this environment, outside GitHub."""
    values = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB", "COVIDCTNET"))}
    values |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    command = [str(SCRIPTS / name), *map(str, arguments)]
    return subprocess.run(command, env={**values, **environment}, capture_output=True, text=True, check=False)


def test_the_linter_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("actionlint")
    if not linter.is_file():
        pytest.skip("actionlint is not installed: make .venv/.dev")
    result = subprocess.run([str(linter)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_of_others_are_pinned_by_their_commit(path: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    for action, comment in used:
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), f"{action} lacks its version"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_job_may_more_than_it_needs_and_no_input_becomes_code(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        for step in job.get("steps", ()):
            assert "${{" not in step.get("run", ""), step
            if str(step.get("uses", "")).startswith("actions/checkout@") and path.stem != "ci":
                assert step["with"]["persist-credentials"] is False


def test_a_promotion_waits_for_its_guards_and_for_a_challenger() -> None:
    retrain, promote = load("retrain"), load("promote")
    assert promote["jobs"]["promote"]["environment"] == "production"
    guarded = retrain["jobs"]["promote"]
    assert guarded["uses"] == "./.github/workflows/promote.yml"
    assert (guarded["needs"], guarded["if"]) == ("run", "needs.run.outputs.state == 'challenger'")
    # YAML reads `on` as true.
    assert retrain[True]["push"] == {"branches": ["main"], "paths": ["data.dvc"]}
    assert "data.dvc" in retrain[True]["pull_request"]["paths"]
    assert retrain["jobs"]["plan"]["if"] == "github.event_name == 'pull_request'"
    assert retrain["jobs"]["run"]["if"] == "github.event_name == 'push'"


def test_images_of_a_release_carry_their_parts_and_their_making() -> None:
    job = load("images")["jobs"]["image"]
    (build,) = [step["with"] for step in job["steps"] if "build-push-action" in step.get("uses", "")]
    assert "'push'" in build["sbom"]
    assert "mode=max" in build["provenance"]
    assert "BASE_DIGEST" in build["build-args"]


@pytest.fixture
def checkout(tmp_path: Path) -> tuple[Path, str]:
    """A repository whose data grew in the last commit; gives the newer version."""

    def git(*words: str) -> None:
        author = ["-c", "user.name=t", "-c", "user.email=t@t.invalid", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *author, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "--initial-branch=main")
    create_workspace(tmp_path)
    versions = []
    for patients in (3, 9):
        (tmp_path / "data" / "splits.csv").unlink(missing_ok=True)
        write_cohort(tmp_path / "data", holdout=patients, train=3)
        versions.append(add_version(tmp_path, f"{patients} patients"))
        git("add", "data.dvc", "versions")
        git("commit", "-m", "data")
    return tmp_path, versions[1]


def test_the_plan_of_a_change_is_told_without_images_keys_or_registry(checkout: tuple[Path, str]) -> None:
    workspace, version = checkout
    (workspace / "data").rename(workspace / "away")
    result = script("plan.sh", "HEAD~1", workspace)
    assert result.returncode == 0, result.stderr
    assert version in result.stdout
    assert "| added | 6 (CAP 2, Control 2, Covid-19 2) |" in result.stdout
    assert "**Not worth a run:** 6 cases were added, 100 are needed." in result.stdout
    first = script("plan.sh", "4b825dc642cb6eb9a060e54bf8d69288fbee4904", workspace)
    assert (first.returncode, "this one is the first" in first.stdout) == (0, True)
    assert script("plan.sh").returncode != 0


def test_a_retraining_says_what_came_of_it_and_a_wrong_call_fails(checkout: tuple[Path, str], tmp_path: Path) -> None:
    workspace, version = checkout
    places = {
        "COVIDCTNET_PROMOTION_LOG": str(tmp_path / "log" / "log.db"),
        "COVIDCTNET_PROMOTION_HEADS": str(tmp_path / "heads" / "heads.db"),
        "COVIDCTNET_PROMOTION_KEY": str(tmp_path / "key" / "key.pem"),
    }
    missing = script("retrain.sh", workspace, "--profile", "smoke", **places)
    assert (missing.returncode, missing.stdout) == (3, "")
    assert "key.pem cannot be read" in missing.stderr
    made = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", "model", "key"],
        env={**os.environ, **places, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0
    output = tmp_path / "output"
    done = script(
        "retrain.sh", workspace, "--profile", "smoke", "--since", version, GITHUB_OUTPUT=str(output), **places
    )
    assert done.returncode == 0, done.stderr
    assert output.read_text() == "state=nothing\ndecision=\n"


@pytest.mark.parametrize(
    ("environment", "code", "words"),
    [
        ({"ACTION": "promote", "WHO": "ada"}, 2, "say why"),
        ({"ACTION": "promote", "WHO": "ada", "WHY": "x"}, 2, "name the folder"),
        ({"ACTION": "delete", "WHO": "ada", "WHY": "x"}, 2, "there is no action delete"),
        ({"ACTION": "promote", "WHO": "ada", "WHY": "x", "DECISION": "/nowhere"}, 3, "PromotionError"),
    ],
)
def test_a_promotion_without_reason_or_decision_is_refused(
    environment: dict[str, str], code: int, words: str, tmp_path: Path
) -> None:
    key = str(tmp_path / "key.pem")
    result = script("promote.sh", COVIDCTNET_PROMOTION_KEY=key, **environment)
    assert (result.returncode, words in result.stderr) == (code, True), result.stderr
