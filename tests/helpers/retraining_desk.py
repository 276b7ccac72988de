"""A workspace to retrain in: two registered bundles, a runner that stands for the pipeline, and somebody to tell."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from covidctnet.bundle import patient_key
from covidctnet.config import Config, load_profile
from covidctnet.promotion.decide import decide
from covidctnet.promotion.decision import save_decision
from covidctnet.promotion.log import PromotionLog
from covidctnet.promotion.moves import promote
from covidctnet.promotion.reports import ModelReport, save_report
from integrations.data_versions import add_version
from integrations.data_workspace import create_workspace
from integrations.notifications import NotificationSettings, WebhookTarget
from integrations.registry import register_bundle
from integrations.steps.gate import NO_CHAMPION
from integrations.tracking_client import TrackingSettings
from pipelines.gate import Gate
from pipelines.retraining.execute import Outcome, Retraining, retrain
from pipelines.retraining.policy import load_retrain_policy
from pipelines.retraining.record import RetrainRecord, find_retraining
from pipelines.retraining.runners import RunState, Start
from tests.covidctnet.promotion.test_log import SIGNER
from tests.helpers.bundles import untrained_bundle
from tests.helpers.contest import write_cohort
from tests.helpers.hook_server import HookServer, hook_server
from tests.helpers.promotion import MemoryLines, make_policy, make_report

POLICY = make_policy(bootstrap_samples=100, non_inferiority__groups=())


@dataclass(frozen=True)
class Registry:
    """Two bundles in an MLflow of their own."""

    settings: TrackingSettings
    first: str
    second: str


def make_registry(folder: Path) -> Registry:
    """Register two untrained bundles."""
    settings = replace(TrackingSettings.embedded(folder), system_metrics_seconds=0.0)
    knows = tuple(patient_key(f"patient-{number:02d}") for number in (3, 4))
    bundles = [untrained_bundle(folder / f"bundle-{seed}", seed=seed, trained_on=knows) for seed in (0, 1)]
    for bundle in bundles:
        register_bundle(bundle.folder, run_key=f"key-{bundle.pair_id}", settings=settings)
    return Registry(settings, *(bundle.pair_id for bundle in bundles))


@dataclass
class TableRunner:
    """Stands for the pipeline, whose own tests are elsewhere: leaves the decision about a made-up report."""

    folder: Path
    candidate: str
    refused: bool = False
    uses: int = 1
    fail: list[BaseException] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None
    gates: list[Gate] = field(default_factory=list)
    configs: list[Config] = field(default_factory=list)

    def run(self, config: Config, data_version: str, gate: Gate, *, started: Start) -> RunState:
        self.gates.append(gate)
        self.configs.append(config)
        if self.fail:
            raise self.fail.pop(0)
        place = self.folder / f"decision-{gate.champion}"
        rival = None if gate.champion == NO_CHAMPION else make_report(gate.champion, holdout_uses=self.uses)
        report = make_report(self.candidate, data_version=data_version, intact=not self.refused, holdout_uses=self.uses)
        write_decision(place, report, rival)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return RunState(run="run-1", state="finished", decision=place)


def write_decision(place: Path, report: ModelReport, rival: ModelReport | None) -> Path:
    save_report(report, place / "candidate.json")
    if rival is not None:
        save_report(rival, place / "champion.json")
    save_decision(decide(report, rival, POLICY), place / "decision.json")
    return place


@dataclass
class Desk:
    """A workspace with data, a log and somebody to tell."""

    task: Retraining
    runner: TableRunner
    hook: HookServer
    version: str

    def call(self, **options: Any) -> Outcome:
        return retrain(self.task, **options)

    @property
    def record(self) -> RetrainRecord:
        found = find_retraining(self.task.workspace, self.version)
        assert found is not None
        return found

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.hook.took]

    def promote_elsewhere(self, pair_id: str) -> None:
        """Somebody promotes another model."""
        champion = self.task.log.read().aliases.champion
        place = self.task.workspace / f"other-{pair_id}"
        write_decision(place, make_report(pair_id), make_report(champion) if champion else None)
        promote(self.task.log, place, policy=POLICY, who="bob", why="other work")


@contextmanager
def open_desk(folder: Path, registry: Registry) -> Iterator[Desk]:
    """A workspace of six cases and a receiver of notices."""
    workspace = folder / "workspace"
    write_cohort(workspace / "data", holdout=3, train=3)
    create_workspace(workspace)
    version = add_version(workspace, "6 cases")
    runner = TableRunner(folder / "runs", registry.second)
    with hook_server() as hook:
        task = Retraining(
            workspace=workspace,
            config=load_profile("smoke"),
            policy=replace(load_retrain_policy(), start="champion", attempts=2),
            gate_policy=POLICY,
            log=PromotionLog(MemoryLines(), MemoryLines(), verifier=SIGNER.verifier, signer=SIGNER),
            tracking=registry.settings,
            runner=runner,
            notifications=NotificationSettings(
                webhooks=(WebhookTarget(url=hook.url),), tries=1, wait_seconds=0.0, timeout_seconds=5.0
            ),
            who="ada",
        )
        yield Desk(task, runner, hook, version)
