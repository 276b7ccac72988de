"""`covidctnet train`: a cohort in; a bundle, its hold-out metrics and a report out, through the pipeline."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import err, out, print_json, progress_bars, table

if TYPE_CHECKING:
    from covidctnet.config import Config

Profile = Annotated[str, typer.Option(help="A profile's name, or a YAML file.")]
Seed = Annotated[int | None, typer.Option(help="Overrides the profile's seed.")]
Epochs = Annotated[int | None, typer.Option(help="Overrides both networks' epochs.", min=1)]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
GatePolicy = Annotated[
    str,
    typer.Option(envvar="COVIDCTNET_PROMOTION_POLICY", help="Limits of the promotion gate: a name, or a YAML file."),
]
Policy = Annotated[Path | None, typer.Option(help="What the metadata's validation fails, quarantines and warns.")]

TrackingUri = Annotated[
    str,
    typer.Option(
        "--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="MLflow server; the workspace's own MLflow if not given."
    ),
]


def train(
    cohort: Annotated[Path, typer.Argument(help="Cohort folder.")],
    output: Annotated[Path, typer.Option(help="Workspace: bundle, report, figures, summary and the run itself.")],
    profile: Profile = "paper",
    seed: Seed = None,
    epochs: Epochs = None,
    policy: Policy = None,
    gate_policy: GatePolicy = "default",
    tracking_uri: TrackingUri = "",
    json_output: JsonFlag = False,
) -> None:
    """Train both networks on a cohort and evaluate them on its hold-out."""
    from covidctnet.config import load_profile
    from pipelines.workspaces import adopt_cohort

    config = load_profile(profile, seed=seed, epochs=epochs)
    version = adopt_cohort(output, cohort)
    run_and_show(
        output,
        config,
        version,
        policy=policy,
        gate_policy=gate_policy,
        tracking_uri=tracking_uri,
        json_output=json_output,
    )


def run_and_show(
    workspace: Path,
    config: "Config",
    data_version: str,
    *,
    settings: str = "local",
    policy: Path | None = None,
    gate_policy: str = "default",
    tracking_uri: str = "",
    json_output: bool = False,
    notes: tuple[str, ...] = (),
) -> None:
    """Run the pipeline in a workspace, publish its results there and print them."""
    from covidctnet.promotion.policy import load_policy
    from integrations.tracking_client import TrackingSettings
    from pipelines.gate import Gate, champion_of
    from pipelines.local_run import run_locally
    from pipelines.results import publish_results
    from pipelines.settings import load_settings

    chosen, rules = load_settings(settings), read_policy(policy)
    gate = Gate(champion=champion_of(TrackingSettings.embedded(workspace)), policy=load_policy(gate_policy))
    with progress_bars(quiet=json_output) as report:
        result = run_locally(
            workspace,
            config,
            data_version,
            chosen,
            gate=gate,
            policy=rules,
            tracking_uri=tracking_uri,
            on_progress=report,
            on_reuse=lambda step: err.print(f"reused: {step}", highlight=False),
        )
    show_summary(publish_results(result, workspace), workspace, notes, json_output=json_output)


def read_policy(path: Path | None) -> str:
    """Text of a policy file; empty without one."""
    from covidctnet.errors import ConfigError

    if path is None:
        return ""
    if not path.is_file():
        raise ConfigError("the policy file does not exist; give a YAML file, or leave it out for the shipped policy")
    return path.read_text("utf-8")


def show_summary(summary: dict[str, Any], workspace: Path, notes: tuple[str, ...], *, json_output: bool) -> None:
    """Print what a run found."""
    if json_output:
        print_json(json.dumps(summary, indent=2))
        return
    rows = [(row["what"], row["value"], row["interval"]) for row in summary["table"]]
    title = f"hold-out of {summary['holdout_patients']} patients, profile {summary['profile']}, seed {summary['seed']}"
    out.print(table(title, ("", "value", "95 % interval"), rows))
    seconds = [(name, f"{value:.0f} s") for name, value in summary["seconds"].items()]
    out.print(table("", ("step", "time"), seconds))
    for note in (*notes, *summary["notes"]):
        out.print(f"note: {note}", style="yellow", markup=False, highlight=False)
    gate = summary["gate"]
    verdict = "may be promoted" if gate["promote"] else "refused"
    out.print(f"gate, policy {gate['policy']}: {verdict}: {gate['reasons'][0]}", markup=False, highlight=False)
    model = summary["registered"]
    out.print(f"model {model['model']} version {model['version']}, data {summary['data_version']}", highlight=False)
    out.print(f"decision {workspace / 'decision'}", highlight=False)
    out.print(f"report {workspace / 'report.html'}, bundle {workspace / 'bundle'} ({summary['pair_id']})")
    out.print("Research use only. Not a medical device.", style="bold")
