"""`covidctnet retrain`: from new data to a challenger, or to a reasoned refusal. It never promotes."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import model_options as options
from cli.console import err, out, print_json, progress_bars
from cli.pipeline import AccountFile, CaFile, CookieFile, Image, Namespace, TokenFile
from cli.train import Epochs, GatePolicy, Policy, Profile, Seed, read_policy

if TYPE_CHECKING:
    from covidctnet.progress import Progress
    from pipelines.retraining.execute import Outcome
    from pipelines.retraining.plan import Plan
    from pipelines.retraining.runners import Runner

REFUSED = 3
"""Exit code where the gate, or the validation of the data, refuses."""


def retrain(
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="Data workspace; records are kept there.")],
    profile: Profile = "paper",
    seed: Seed = None,
    epochs: Epochs = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what is new and whether it is worth a run; no more.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Once more on a data version that is done with.")] = False,
    since: Annotated[
        str, typer.Option(help="Data version that was trained last; the newest model's if not given.")
    ] = "",
    retrain_policy: Annotated[Path | None, typer.Option(help="When new data is worth a run; the shipped one.")] = None,
    gate_policy: GatePolicy = "default",
    policy: Policy = None,
    notify: Annotated[
        Path | None, typer.Option(envvar="COVIDCTNET_NOTIFY", help="YAML file: webhooks and mail to tell.")
    ] = None,
    settings: Annotated[str, typer.Option(help="Of the pipeline; `local`, or `cluster` with --endpoint.")] = "",
    log: options.LogPlace = options.LOG,
    heads: options.HeadPlace = options.HEADS,
    key: options.Key = options.KEY,
    public_key: options.PublicKey = None,
    who: options.Who = "",
    tracking: options.Tracking = "",
    model: options.Model = "covidctnet",
    endpoint: Annotated[str, typer.Option(help="Address of Kubeflow Pipelines; runs here if not given.")] = "",
    repository: Annotated[str, typer.Option(help="Address of DVC's remote, for a cluster.")] = "",
    storage_endpoint: Annotated[str, typer.Option(help="Of an S3 server that is not Amazon's.")] = "",
    shared_disk: Annotated[Path | None, typer.Option(help="The cluster's shared disk as it is mounted here.")] = None,
    image: Image = None,
    service_account: Annotated[str, typer.Option(help="Of the steps' pods.")] = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    service_account_token_file: AccountFile = None,
    cookie_file: CookieFile = None,
    ca_file: CaFile = None,
    json_output: options.JsonFlag = False,
) -> None:
    """Train on new data if it is worth a run, judge the model and ask for its promotion; exit code 3: refused."""
    from covidctnet.config import load_profile
    from covidctnet.promotion.policy import load_policy
    from integrations.notifications import load_notifications
    from integrations.tracking_client import TrackingSettings
    from pipelines.retraining.execute import Retraining, plan_retraining
    from pipelines.retraining.execute import retrain as run
    from pipelines.retraining.policy import load_retrain_policy
    from pipelines.retraining.runners import ClusterRunner, LocalRunner
    from pipelines.retraining.trained import startable
    from pipelines.settings import load_settings
    from pipelines.submission import Endpoint

    registry = options.tracking_settings(tracking, model) or TrackingSettings.embedded(workspace)

    def make_runner(report: "Progress") -> "Runner":
        chosen = load_settings(settings or ("cluster" if endpoint else "local"), image=image)
        if not endpoint:
            return LocalRunner(
                workspace=workspace,
                settings=chosen,
                policy=read_policy(policy),
                on_progress=report,
                on_reuse=lambda step: err.print(f"reused: {step}", highlight=False),
            )
        if not (repository and tracking and shared_disk):
            raise typer.BadParameter("a cluster needs --repository, --tracking and --shared-disk")
        place = Endpoint(
            url=endpoint,
            namespace=namespace,
            token_file=token_file,
            service_account_token_file=service_account_token_file,
            cookie_file=cookie_file,
            ca_file=ca_file,
        )
        return ClusterRunner(
            endpoint=place,
            settings=chosen,
            repository=repository,
            tracking_uri=tracking,
            shared_disk=shared_disk,
            storage_endpoint=storage_endpoint,
            policy=read_policy(policy),
            service_account=service_account,
        )

    worth = load_retrain_policy(retrain_policy)
    if plan:

        def start() -> str:
            opened = options.open_promotion_log(log, heads, key, public_key, writable=False)
            return startable(opened.read().aliases.champion, workspace, registry)

        _print_plan(plan_retraining(workspace, worth, registry, since=since, start=start), json_output=json_output)
        return
    with progress_bars(quiet=json_output) as report:
        task = Retraining(
            workspace=workspace,
            config=load_profile(profile, seed=seed, epochs=epochs),
            policy=worth,
            gate_policy=load_policy(gate_policy),
            log=options.open_promotion_log(log, heads, key, public_key, writable=True),
            tracking=registry,
            runner=make_runner(report),
            notifications=load_notifications(notify),
            who=options.person(who),
            since=since,
        )
        outcome = run(task, again=again)
    _print_outcome(outcome, json_output=json_output)
    if outcome.record and outcome.record.state == "refused" and not outcome.done_before:
        raise typer.Exit(REFUSED)


def _print_plan(plan: "Plan", *, json_output: bool) -> None:
    if json_output:
        print_json(json.dumps(asdict(plan), indent=2))
    else:
        # As it is: a pull request shows it.
        print_json(plan.to_markdown())


def _print_outcome(outcome: "Outcome", *, json_output: bool) -> None:
    from pipelines.retraining.notices import next_step

    if json_output:
        print_json(json.dumps(asdict(outcome), indent=2))
        return
    record = outcome.record
    if outcome.plan is not None:
        out.print(outcome.plan.to_markdown(), markup=False, highlight=False)
    if record is None:
        out.print("nothing was done: the new data is not worth a run", highlight=False)
        return
    if outcome.done_before:
        out.print(f"nothing was done: data version {record.data_version} is done with", highlight=False)
    if record.state == "submitted":
        out.print(f"run {record.run} is under way; call this again when it is over", highlight=False)
        return
    out.print(f"{record.state}: version {record.model_version}, bundle {record.candidate or 'none'}", highlight=False)
    for reason in record.reasons:
        out.print(reason, markup=False, highlight=False)
    out.print(next_step(record), markup=False, highlight=False)
    if record.owed:
        err.print(f"not told yet: {', '.join(record.owed)}", style="yellow", highlight=False)
    out.print("Research use only. Not a medical device.", style="bold")
