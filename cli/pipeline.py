"""`covidctnet pipeline`: compile the training pipeline, run it here, submit it to a cluster, look at runs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.console import out, print_json, table
from cli.train import Epochs, GatePolicy, JsonFlag, Policy, Profile, Seed, TrackingUri, read_policy, run_and_show

app = typer.Typer(help="Compile, run, submit and watch the training pipeline.", no_args_is_help=True)

Settings = Annotated[str, typer.Option(help="`local`, `cluster` or a YAML file: image, shards, resources by step.")]
Image = Annotated[str | None, typer.Option(help="Image of all steps, pinned by digest; overrides the settings.")]
TrainImage = Annotated[str | None, typer.Option(help="Image of the steps that run a network; --image if not given.")]
Workspace = Annotated[Path, typer.Option(help="Folder with the data repository; runs are kept beside it.")]
Url = Annotated[str, typer.Option("--endpoint", help="Address of Kubeflow Pipelines.")]
TokenFile = Annotated[Path | None, typer.Option(help="Holds a bearer token; or set KFP_TOKEN.")]
AccountFile = Annotated[Path | None, typer.Option(help="Projected token of a service account, renewed by Kubernetes.")]
CookieFile = Annotated[Path | None, typer.Option(help="Holds the session cookie of a login page.")]
CaFile = Annotated[Path | None, typer.Option(help="Certificate authority of the endpoint.")]
Namespace = Annotated[str, typer.Option(help="Namespace of your profile in a multi-user deployment.")]


@app.command("compile")
def compile_(
    output: Annotated[Path, typer.Option(help="YAML file to write.")],
    image: Image = None,
    train_image: TrainImage = None,
    settings: Settings = "cluster",
) -> None:
    """Write the pipeline as Kubeflow takes it."""
    from pipelines.compilation import compile_pipeline
    from pipelines.settings import load_settings

    compile_pipeline(load_settings(settings, image=image, train_image=train_image), output)
    out.print(f"compiled to {output}", highlight=False)


@app.command()
def run(
    workspace: Workspace,
    profile: Profile = "paper",
    seed: Seed = None,
    epochs: Epochs = None,
    data_version: Annotated[str | None, typer.Option(help="DVC's hash; what the workspace holds if not given.")] = None,
    settings: Settings = "local",
    policy: Policy = None,
    gate_policy: GatePolicy = "default",
    tracking_uri: TrackingUri = "",
    json_output: JsonFlag = False,
) -> None:
    """Run the pipeline on this machine; started again after a kill, it goes on with the steps that it finished."""
    from covidctnet.config import load_profile
    from integrations.data_versions import version_of

    config = load_profile(profile, seed=seed, epochs=epochs)
    version = data_version or version_of(workspace)
    run_and_show(
        workspace,
        config,
        version,
        settings=settings,
        policy=policy,
        gate_policy=gate_policy,
        tracking_uri=tracking_uri,
        json_output=json_output,
    )


@app.command()
def submit(
    endpoint: Url,
    repository: Annotated[str, typer.Option(help="Address of DVC's remote.")],
    data_version: Annotated[str, typer.Option(help="DVC's hash of the cohort.")],
    tracking: Annotated[str, typer.Option(help="Address of the MLflow server.")],
    storage_endpoint: Annotated[str, typer.Option(help="Of an S3 server that is not Amazon's.")] = "",
    settings: Settings = "cluster",
    image: Image = None,
    train_image: TrainImage = None,
    profile: Profile = "paper",
    seed: Seed = None,
    policy: Policy = None,
    gate_policy: GatePolicy = "default",
    champion: Annotated[str, typer.Option(help="Its pair_id, or none; the registry's alias if not given.")] = "",
    namespace: Namespace = "",
    experiment: Annotated[str, typer.Option(help="Experiment of Kubeflow in which the run is listed.")] = "covidctnet",
    service_account: Annotated[str, typer.Option(help="Of the steps' pods.")] = "",
    pipeline_root: Annotated[str, typer.Option(help="Where outputs go; the deployment's own if not given.")] = "",
    token_file: TokenFile = None,
    service_account_token_file: AccountFile = None,
    cookie_file: CookieFile = None,
    ca_file: CaFile = None,
) -> None:
    """Compile the pipeline and start it on a cluster."""
    import tempfile

    from covidctnet.config import load_profile
    from covidctnet.promotion.policy import load_policy
    from integrations.tracking_client import TrackingSettings
    from pipelines.compilation import compile_pipeline
    from pipelines.gate import Gate, champion_of
    from pipelines.parameters import cluster_parameters
    from pipelines.settings import load_settings
    from pipelines.submission import Endpoint, submit

    place = Endpoint(
        url=endpoint,
        namespace=namespace,
        token_file=token_file,
        service_account_token_file=service_account_token_file,
        cookie_file=cookie_file,
        ca_file=ca_file,
    )
    config, chosen = load_profile(profile, seed=seed), load_settings(settings, image=image, train_image=train_image)
    parameters = cluster_parameters(
        config,
        data_version,
        chosen,
        repository=repository,
        tracking_uri=tracking,
        gate=Gate(champion=champion or champion_of(TrackingSettings(tracking)), policy=load_policy(gate_policy)),
        endpoint=storage_endpoint,
        policy=read_policy(policy),
    )
    with tempfile.TemporaryDirectory() as folder:
        package = compile_pipeline(chosen, Path(folder) / "training.yaml")
        run_id = submit(
            place,
            package,
            parameters,
            name=f"{config.name} {data_version[:8]}",
            experiment=experiment,
            service_account=service_account,
            pipeline_root=pipeline_root,
        )
    out.print(f"run {run_id} started", highlight=False)


@app.command()
def schedule(
    endpoint: Url,
    cron: Annotated[str, typer.Option(help="Six fields, seconds first: '0 0 3 * * *' is three in the night.")],
    arguments: Annotated[list[str], typer.Argument(help="Of `covidctnet retrain`, behind --.")],
    name: Annotated[str, typer.Option(help="Of the recurring run; one of the same name is replaced.")] = "retraining",
    settings: Settings = "cluster",
    image: Image = None,
    namespace: Namespace = "",
    experiment: Annotated[
        str, typer.Option(help="Experiment of Kubeflow in which its runs are listed.")
    ] = "covidctnet",
    service_account: Annotated[str, typer.Option(help="Of the step's pod; it must be allowed to start runs.")] = "",
    token_file: TokenFile = None,
    service_account_token_file: AccountFile = None,
    cookie_file: CookieFile = None,
    ca_file: CaFile = None,
) -> None:
    """Let Kubeflow call `covidctnet retrain` again and again."""
    from pipelines.schedule import Schedule
    from pipelines.schedule import schedule as run
    from pipelines.settings import load_settings
    from pipelines.submission import Endpoint

    place = Endpoint(
        url=endpoint,
        namespace=namespace,
        token_file=token_file,
        service_account_token_file=service_account_token_file,
        cookie_file=cookie_file,
        ca_file=ca_file,
    )
    plan = Schedule(cron=cron, arguments=arguments, name=name, experiment=experiment, service_account=service_account)
    out.print(f"recurring run {run(place, load_settings(settings, image=image), plan)}", highlight=False)


@app.command()
def worker(
    network: Annotated[str, typer.Argument(help="What to train together: denoiser.")],
    folder: Annotated[Path, typer.Argument(help="On the shared disk: config.json, records/ and healthy/ by shard.")],
) -> None:
    """Train on several nodes: what a Kubeflow TrainJob runs on each; COVIDCTNET_WORKERS names them all."""
    from pipelines.worker import train_denoiser_together

    if network != "denoiser":
        raise typer.BadParameter(f"only the denoiser is trained on several nodes, not {network!r}")
    out.print(f"denoiser in {train_denoiser_together(folder)}", highlight=False)


@app.command()
def status(
    workspace: Annotated[Path | None, typer.Option(help="Look at the runs on this machine.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Look at a run on a cluster.")] = None,
    run_id: Annotated[str, typer.Option(help="Of the run; the latest on this machine if not given.")] = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    service_account_token_file: AccountFile = None,
    cookie_file: CookieFile = None,
    ca_file: CaFile = None,
    json_output: JsonFlag = False,
) -> None:
    """Show a run's steps."""
    from pipelines.record import find_record
    from pipelines.submission import Endpoint, fetch_run

    if (workspace is None) == (endpoint is None):
        raise typer.BadParameter("give either --workspace or --endpoint")
    if workspace is not None:
        record = find_record(workspace, run_id)
        shown, title = asdict(record), f"run {record.run_id}: {record.state}, attempt {record.attempts}"
        steps = [(str(step.step), str(step.state), f"{step.seconds:.0f} s", step.message) for step in record.steps]
    else:
        if not run_id:
            raise typer.BadParameter("give the run's identifier with --run-id")
        place = Endpoint(
            url=endpoint or "",
            namespace=namespace,
            token_file=token_file,
            service_account_token_file=service_account_token_file,
            cookie_file=cookie_file,
            ca_file=ca_file,
        )
        remote = fetch_run(place, run_id)
        shown, title = asdict(remote), f"run {remote.run_id}: {remote.state} {remote.error}".strip()
        steps = [(step.step, step.state, f"{step.seconds:.0f} s", "") for step in remote.steps]
    if json_output:
        print_json(json.dumps(shown, indent=2))
        return
    out.print(table(title, ("step", "state", "time", ""), steps))
