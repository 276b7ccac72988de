"""New data of a third hospital, told from its export to the alias, and back: by the commands that people use."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from covidctnet.bundle import load_bundle, patient_key
from covidctnet.labels import LABELS
from covidctnet.promotion.decision import load_decision
from covidctnet.splits import Ledger
from tests.helpers.hook_server import HookServer, hook_server
from tests.helpers.hospital import draw_series, write_export
from tests.helpers.series import zip_of
from tests.helpers.serving import wait_for
from tests.helpers.two_pairs import Load, TwoPairs, load_on
from tests.serving.test_following import events
from tests.serving.test_serve_command import serving

pytestmark = [pytest.mark.slow, pytest.mark.long]

ROOT = Path(__file__).parents[1]
SECRET = "a-secret-of-the-story"
PROFILE = """
name: story
splits: {denoiser: 0.3, validation: 0.25, holdout: 0.35}
preprocess: {spacing_mm: [10.0, 6.0, 6.0], slice_size: [32, 32]}
noise: {scale: [3, 8], placement: lung}
denoiser:
  {filters: [4, 4, 8, 8], dropout: 0.0, learning_rate: 5.0e-3, batch_size: 8, warm_start_epochs: 0, epochs: 4,
   slices_per_epoch: 128}
residual: {shape: [32, 32, 32], batch_size: 8}
classifier:
  {filters: [4, 8, 8], dropout: 0.0, dense_units: 8, learning_rate: 2.0e-3, learning_rate_decay: cosine,
   input_gain: 5.0, batch_size: 4, epochs: 40, keep: last, gradient_clip: 1.0,
   flip_augmentation: true, shift_augmentation: 1}
answer: {max_out_of_distribution: 20.0}
evaluation: {bootstrap_samples: 50}
"""
RETRAIN = {
    "name": "story", "new_cases": 100, "new_site_cases": 10, "new_scanner_cases": 10, "relabelled_cases": None,
    "removed_cases": None, "start": "champion", "attempts": 2,
}  # fmt: skip
GATE = {
    "name": "story",
    "absolute": {
        "sensitivity": {"minimum": 0.75, "tested": "point"},
        "specificity": {"minimum": 0.7, "tested": "point"},
        "max_brier": 1.0, "max_metadata_auc": 0.95, "max_unanswered": 0.2,
    },
    "enough": {"covid_patients": 4, "other_patients": 6},
    "non_inferiority": {
        "margins": {"sensitivity": 0.3, "specificity": 0.3, "covid_auc": 0.3, "brier": 0.3},
        "group_margins": {"sensitivity": 0.6, "specificity": 0.6},
        "groups": ["brand", "site"], "group_covid_patients": 2, "group_other_patients": 2, "small_groups": "note",
    },
    "holdout": {"max_candidates": 20}, "confidence": 0.95, "bootstrap_samples": 200, "seed": 0,
}  # fmt: skip
SCANNERS = {
    "a": ("SIEMENS", "SOMATOM Definition AS"),
    "b": ("GE MEDICAL SYSTEMS", "LightSpeed VCT"),
    "c": ("TOSHIBA", "Aquilion ONE"),
}
LABEL_RULES = {"sensitivity", "specificity", "Brier score"} | {
    f"non-inferior {metric}" for metric in ("sensitivity", "specificity", "covid_auc", "brier")
}
"""Rules that compare answers with labels."""

SERVING = """
admission: {grpc_connection_seconds: 2}
follow: {poll_seconds: 1, retry_seconds: 1, max_retry_seconds: 5}
"""


@dataclass
class Desk:
    """A workspace, what is decided by, and who is told."""

    folder: Path
    hook: HookServer

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def registry(self) -> str:
        return f"sqlite:///{self.workspace / 'mlflow.db'}"

    def call(self, *arguments: object, code: int = 0) -> str:
        command = [sys.executable, "-c", "from cli.main import main; main()", *map(str, arguments)]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "COVIDCTNET_WEBHOOK_SECRET": SECRET,
            "COVIDCTNET_NOTIFY": str(self.folder / "notify.yaml"),
            "COVIDCTNET_PROMOTION_POLICY": str(self.folder / "gate.yaml"),
            "COVIDCTNET_PROMOTION_LOG": str(self.folder / "log" / "log.db"),
            "COVIDCTNET_PROMOTION_HEADS": str(self.folder / "heads" / "heads.db"),
            "COVIDCTNET_PROMOTION_KEY": str(self.folder / "key" / "key.pem"),
            "COVIDCTNET_PROMOTION_WHO": "ada",
            "MLFLOW_TRACKING_URI": self.registry,
        }
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == code, result.stderr
        assert "Traceback" not in result.stderr
        return result.stdout

    def ingest(self, site: str, patients_per_class: int, *, shuffled: bool = False) -> None:
        manufacturer, model = SCANNERS[site]
        export = write_export(
            self.folder / f"export-{site}", site, manufacturer=manufacturer, model=model,
            patients_per_class=patients_per_class, shuffled=shuffled,
        )  # fmt: skip
        said = self.call(
            "data", "ingest", export / "series", "--site", f"site-{site}", "--labels", export / "labels.csv",
            "--workspace", self.workspace, "--keys", self.folder / "keys.json", "--json",
        )  # fmt: skip
        assert len(json.loads(said)["added"]) == 3 * patients_per_class

    def retrain(self, *more: object, code: int = 0) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(
            self.call(
                "retrain", "--workspace", self.workspace, "--profile", self.folder / "story.yaml",
                "--retrain-policy", self.folder / "retrain.yaml", "--json", *more, code=code,
            )
        )  # fmt: skip
        return told

    def aliases(self, *arguments: object) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.call("model", *arguments, "--json"))
        return found

    def splits(self) -> dict[str, str]:
        return {row.patient: row.split for row in Ledger.load(self.workspace / "splits.csv").rows}

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.hook.took]


def now() -> str:
    return datetime.now(UTC).isoformat()


@pytest.fixture(scope="module")
def hook() -> Iterator[HookServer]:
    with hook_server() as server:
        yield server


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, hook: HookServer) -> Desk:
    """Sites A and B are trained on, and champion v1 is in production."""
    desk = Desk(tmp_path_factory.mktemp("hospital"), hook)
    (desk.folder / "story.yaml").write_text(PROFILE)
    (desk.folder / "retrain.yaml").write_text(yaml.safe_dump(RETRAIN))
    (desk.folder / "gate.yaml").write_text(yaml.safe_dump(GATE))
    # Always the same pseudonyms, and so the same splits: the story must not end by luck.
    (desk.folder / "keys.json").write_text(json.dumps({"keys": [bytes(range(32)).hex()]}))
    (desk.folder / "keys.json").chmod(0o600)
    (desk.folder / "notify.yaml").write_text(yaml.safe_dump({"webhooks": [{"url": hook.url}], "tries": 1}))
    desk.call("data", "init", desk.workspace)
    desk.call("model", "key")
    for site in ("a", "b"):
        desk.ingest(site, 8)
    outcome = desk.retrain()
    assert outcome["plan"]["reasons"] == ["nothing was trained yet"]
    assert outcome["record"]["state"] == "challenger", outcome["record"]["reasons"]
    assert desk.aliases("promote", outcome["record"]["decision"], "--why", "start")["champion"]
    return desk


def branch(hospital: Desk, folder: Path) -> Desk:
    """Another course of events from here on."""
    desk = Desk(folder / "branch", hospital.hook)
    shutil.copytree(hospital.folder, desk.folder)
    return desk


def test_shuffled_labels_are_refused_and_the_reason_is_told(hospital: Desk, tmp_path: Path) -> None:
    desk = branch(hospital, tmp_path)
    champion = desk.aliases("aliases")["champion"]
    desk.ingest("c", 10, shuffled=True)
    record = desk.retrain(code=3)["record"]
    assert record["state"] == "refused"
    folder = Path(record["decision"])
    failed = [rule for rule in load_decision(folder / "decision.json").rules if rule.verdict == "failed"]
    # Which of the two rates falls below its minimum first is the seed's choice; that one does is the labels' doing.
    told_by_labels = {rule.rule for rule in failed} & LABEL_RULES
    assert told_by_labels, record["reasons"]
    for rule in failed:
        assert rule.value is not None, rule
        assert rule.limit is not None, rule
        (reason,) = [one for one in record["reasons"] if one.startswith(f"{rule.title}: ")]
        assert f"{rule.limit:g}" in reason
    # Nothing else is wrong with this model: with true labels the same rules let one through.
    assert {rule.rule for rule in failed} <= LABEL_RULES
    assert desk.aliases("aliases") == {"champion": champion, "challenger": None, "previous": None}
    notice = desk.told[-1]
    assert (notice["event"], notice["reasons"]) == ("refused", record["reasons"])
    said = desk.call("model", "promote", record["decision"], "--why", "I want it", code=3)
    assert said == ""
    assert desk.aliases("aliases")["champion"] == champion
    page = (folder / "decision.html").read_text()
    assert all(rule in page for rule in told_by_labels)
    assert desk.retrain()["done_before"]


@dataclass(frozen=True)
class Grown:
    """Site C has arrived and was trained on, while champion v1 answered.

    Attributes:
        desk: of this course of events.
        outcome: of the retraining.
        before: splits as they were without site C.
        pairs: of v1 and v2, with what each says offline.
        load: on the server, until the module's end.
        log: of the server.
    """

    desk: Desk
    outcome: dict[str, Any]
    before: dict[str, str]
    pairs: TwoPairs
    load: Load
    log: Path


@pytest.fixture(scope="module")
def grown(hospital: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    desk = branch(hospital, tmp_path_factory.mktemp("grown"))
    before, place = desk.splits(), tmp_path_factory.mktemp("serving")
    (place / "settings.yaml").write_text(SERVING)
    pairs = TwoPairs(studies=draw_studies("c"))
    first = pairs.add(desk.workspace / "bundle")
    options = ["--follow=champion", f"--tracking-uri={desk.registry}", f"--settings={place / 'settings.yaml'}"]
    with serving(place, *options) as (_, url, said):
        (grpc_address,) = re.findall(r"gRPC (\S+)", said)
        with load_on(url, pairs, grpc_address=grpc_address) as load:
            load.wait_for(first)
            # The training needs the processors as well.
            load.pause = 2.0
            desk.ingest("c", 10)
            outcome = desk.retrain()
            assert set(load.counts()) == {first}
            pairs.add(desk.workspace / "bundle")
            pairs.require_apart()
            yield Grown(desk, outcome, before, pairs, load, place / "log")


def draw_studies(site: str) -> list[bytes]:
    """One patient of each class who comes to a site's scanner and is in no cohort."""
    rng = np.random.default_rng(7)
    manufacturer, model = SCANNERS[site]
    return [
        zip_of(draw_series(rng, label, f"new-{label}", manufacturer=manufacturer, model=model))
        for label in range(len(LABELS))
    ]


def test_a_new_site_becomes_a_challenger_then_champion_under_load_and_is_rolled_back(grown: Grown) -> None:
    desk, load, outcome = grown.desk, grown.load, grown.outcome
    first, second = grown.pairs.ids
    assert (outcome["plan"]["news"]["sites"], outcome["plan"]["news"]["scanners"]) == (
        {"site-c": 30}, {"Toshiba Aquilion ONE": 30},
    )  # fmt: skip
    record = outcome["record"]
    assert record["state"] == "challenger", record["reasons"]
    assert (record["champion"], record["candidate"], record["model_version"]) == (first, second, 2)
    assert load_bundle(desk.workspace / "bundle").config.start_from == first
    # It never promotes by itself.
    assert desk.aliases("aliases") == {"champion": first, "challenger": second, "previous": None}
    assert (desk.told[-1]["event"], desk.told[-1]["candidate"]) == ("challenger", second)
    challenged = now()
    again = desk.retrain()
    assert again["done_before"]
    assert again["record"] == record
    load.wait_for(first)
    assert set(load.counts()) == {first}

    load.pause = 0.0
    promoted = desk.aliases("promote", record["decision"], "--why", "site C joined")
    assert promoted == {"champion": second, "challenger": None, "previous": first}
    load.wait_for(second, seconds=600)
    live = now()
    assert desk.aliases("rollback", "--why", "alarm in radiology")["champion"] == first
    # The pair of before has stopped, or it would not change back.
    wait_for(lambda: [line["pair_id"] for line in events(grown.log, "pair changed")] == [second, first], 600)
    load.wait_for(first)
    back = now()
    load.check(grown.pairs)
    assert load.counts()[second] >= 5
    assert {line["protocol"] for line in events(grown.log, "request")} == {"plain", "grpc"}
    # Only the new pair knows the new scanner.
    for pair_id, is_new in ((first, True), (second, False)):
        warned = {"was not in the training data" in str(one["warnings"]) for one in grown.pairs.oracles[pair_id]}
        assert warned == {is_new}
    moments = {challenged: (first, second), live: (second, None), back: (first, None)}
    for moment, (champion, challenger) in moments.items():
        found = desk.aliases("history", "--at", moment)
        assert (found["champion"], found["challenger"]) == (champion, challenger), moment
        assert found["versions"]["champion"] == (1 if champion == first else 2)
    assert desk.aliases("history", "--at", "2020-01-01T00:00Z")["champion"] is None
    moves = [move["action"] for move in json.loads(desk.call("model", "history", "--json"))["moves"]]
    assert moves == ["challenge", "promote", "challenge", "promote", "rollback"]


def test_no_patient_changes_split_when_the_cohort_grows(grown: Grown) -> None:
    after = grown.desk.splits()
    assert len(after) == len(grown.before) + 30
    assert grown.before.items() <= after.items()
    holdout = {patient_key(patient) for patient, split in after.items() if split == "holdout"}
    # Neither model has seen a hold-out patient, although the second one started from the first.
    for bundle in grown.pairs.bundles.values():
        assert not holdout & set(bundle.reference.trained_on)
