"""A Kubeflow recurring run that calls `covidctnet retrain` again and again: new data is found, the rest is no work."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List  # noqa: UP035

from kfp import compiler, dsl

from components.base import component
from covidctnet.errors import ConfigError
from pipelines.placement import place
from pipelines.settings import PipelineSettings
from pipelines.submission import Endpoint, connect

NAME = "covidctnet-retraining"
STEP = "retrain"
_CRON_FIELDS = 6


@component()
def call_retrain(arguments: List[str]) -> None:  # noqa: UP006
    """Call the command; a refusal of a model is a good end of this step.

    Args:
        arguments: of `covidctnet retrain`.
    """
    import subprocess

    code = subprocess.run(["covidctnet", "retrain", *arguments], check=False).returncode
    if code not in (0, 3):
        raise SystemExit(code)


def build_retraining(settings: PipelineSettings) -> Any:
    """The pipeline of one step; its place is that of the step "gate", which needs about the same."""

    @dsl.pipeline(name=NAME, description="Look for new data, and retrain where it is worth a run.")
    def retraining(arguments: List[str]) -> None:  # noqa: UP006
        task = call_retrain(arguments=arguments)
        place(task, "gate", settings)
        task.set_display_name(STEP)
        # What it does depends on the data that it finds, which is no argument.
        task.set_caching_options(enable_caching=False)

    return retraining


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When and how.

    Attributes:
        cron: six fields, seconds first, as Kubeflow takes them: `0 0 3 * * *` for three in the night.
        arguments: of `covidctnet retrain`.
        name: of the recurring run; one of the same name is replaced.
        experiment: in which its runs are listed.
        service_account: of the step's pod, which may start runs.
    """

    cron: str
    arguments: Sequence[str]
    name: str = NAME
    experiment: str = "covidctnet"
    service_account: str = ""

    def __post_init__(self) -> None:
        fields = self.cron.split()
        if len(fields) != _CRON_FIELDS or not all(re.fullmatch(r"[0-9A-Z*/,?-]+", field) for field in fields):
            raise ConfigError(f"a schedule has six fields, seconds first, as in '0 0 3 * * *', not {self.cron!r}")
        if "--endpoint" not in self.arguments:
            raise ConfigError("a scheduled retraining runs on the cluster; give its arguments an --endpoint")


def schedule(endpoint: Endpoint, settings: PipelineSettings, plan: Schedule) -> str:
    """Make the recurring run, in place of one that has the name; gives its identifier.

    One run at a time, and what was missed is not made up for: a run does all that there is to do.

    Raises:
        ConfigError: the image is not pinned by its digest.
        PipelineError: the endpoint does not answer, or refuses.
    """
    settings.require_pinned_images()
    with connect(endpoint) as client, tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "retraining.yaml"
        compiler.Compiler().compile(build_retraining(settings), str(package))
        home = client.create_experiment(plan.experiment, namespace=endpoint.namespace or None)
        earlier = client.list_recurring_runs(experiment_id=home.experiment_id, page_size=100).recurring_runs or ()
        made = client.create_recurring_run(
            experiment_id=home.experiment_id,
            job_name=plan.name,
            cron_expression=plan.cron,
            max_concurrency=1,
            no_catchup=True,
            params={"arguments": list(plan.arguments)},
            pipeline_package_path=str(package),
            service_account=plan.service_account or None,
        )
        # The new one first: a failure in between leaves two, which the workspace's lock keeps apart, and never none.
        for one in earlier:
            if one.display_name == plan.name:
                client.delete_recurring_run(one.recurring_run_id)
        return str(made.recurring_run_id)
