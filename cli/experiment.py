"""`covidctnet experiment`: the paper's experiments on a cohort, or on phantoms where none is given."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import err, out, print_json, progress_bars
from cli.train import JsonFlag, TrackingUri

if TYPE_CHECKING:
    from covidctnet.config import Config
    from covidctnet.experiments.results import ExperimentResult

app = typer.Typer(help="Rerun the paper's experiments on a cohort, or on phantoms.", no_args_is_help=True)

CohortOption = Annotated[Path | None, typer.Option("--cohort", help="Cohort folder; phantoms if not given.")]
Profile = Annotated[str, typer.Option(help="`experiment` and `demo` for two cores, `paper` for a GPU, or a YAML file.")]
Seeds = Annotated[list[int], typer.Option("--seed", help="Repeats split and training; give it once a repetition.")]
OneSeed = Annotated[int, typer.Option("--seed", help="Of split and training.")]
Cases = Annotated[int, typer.Option(help="Patients a class, beside the denoiser's Controls; 0 for all.", min=0)]
DenoiserControls = Annotated[int, typer.Option(help="Controls that train the denoiser and nothing else.", min=0)]
Workspace = Annotated[Path, typer.Option(help="Data, finished steps and MLflow; experiments share it.")]
Output = Annotated[Path | None, typer.Option(help="Folder of the result; the experiment's name in the workspace.")]

_WORKSPACE = Path("runs/experiments")
_PROFILE = "experiment"


@app.command()
def ablation(
    cohort: CohortOption = None,
    profile: Profile = _PROFILE,
    seed: Seeds = [0, 1, 2],  # noqa: B006
    cases: Cases = 50,
    denoiser_controls: DenoiserControls = 30,
    workspace: Workspace = _WORKSPACE,
    output: Output = None,
    tracking_uri: TrackingUri = "",
    json_output: JsonFlag = False,
) -> None:
    """The classifier with and without denoiser and Perlin noise: four arms, the same splits and seeds."""
    options = {"cases": cases, "denoiser_controls": denoiser_controls}
    _run("ablation", cohort, profile, options, workspace, output, tracking_uri, seeds=seed, json_output=json_output)


@app.command()
def patches(
    cohort: CohortOption = None,
    profile: Profile = _PROFILE,
    seed: Seeds = [0, 1, 2],  # noqa: B006
    cases: Cases = 50,
    denoiser_controls: DenoiserControls = 30,
    workspace: Workspace = _WORKSPACE,
    output: Output = None,
    tracking_uri: TrackingUri = "",
    json_output: JsonFlag = False,
) -> None:
    """The method beside a network that sees patches of lung."""
    options = {"cases": cases, "denoiser_controls": denoiser_controls}
    _run("patches", cohort, profile, options, workspace, output, tracking_uri, seeds=seed, json_output=json_output)


@app.command()
def clinical(
    cohort: CohortOption = None,
    demographics: Annotated[
        Path | None, typer.Option(help="CSV: patient, sex, age_band; drawn at random for phantoms if not given.")
    ] = None,
    profile: Profile = _PROFILE,
    seed: Seeds = [0, 1, 2],  # noqa: B006
    cases: Cases = 50,
    denoiser_controls: DenoiserControls = 30,
    workspace: Workspace = _WORKSPACE,
    output: Output = None,
    tracking_uri: TrackingUri = "",
    json_output: JsonFlag = False,
) -> None:
    """The method with and without age and sex, joined late to the same network's answer."""
    options = {"cases": cases, "denoiser_controls": denoiser_controls}
    _run(
        "clinical",
        cohort,
        profile,
        options,
        workspace,
        output,
        tracking_uri,
        seeds=seed,
        demographics=demographics,
        json_output=json_output,
    )


@app.command()
def crossval(
    cohort: CohortOption = None,
    profile: Profile = _PROFILE,
    seed: OneSeed = 0,
    folds: Annotated[int, typer.Option(help="How many.", min=3)] = 5,
    cases: Cases = 50,
    denoiser_controls: DenoiserControls = 30,
    workspace: Workspace = _WORKSPACE,
    output: Output = None,
    tracking_uri: TrackingUri = "",
    json_output: JsonFlag = False,
) -> None:
    """Folds by patient, threshold and temperature chosen inside each; calibration before and after."""
    options = {"folds": folds, "cases": cases, "denoiser_controls": denoiser_controls}
    _run("crossval", cohort, profile, options, workspace, output, tracking_uri, seeds=[seed], json_output=json_output)


@app.command()
def scanners(
    cohort: CohortOption = None,
    profile: Profile = _PROFILE,
    seed: OneSeed = 0,
    folds: Annotated[int, typer.Option(help="Of the cross-validation that the results stand beside.", min=3)] = 5,
    cases: Cases = 50,
    denoiser_controls: DenoiserControls = 30,
    workspace: Workspace = _WORKSPACE,
    output: Output = None,
    tracking_uri: TrackingUri = "",
    json_output: JsonFlag = False,
) -> None:
    """One scanner brand, and one site, left out of training at a time."""
    options = {"folds": folds, "cases": cases, "denoiser_controls": denoiser_controls}
    _run("scanners", cohort, profile, options, workspace, output, tracking_uri, seeds=[seed], json_output=json_output)


@app.command()
def localisation(
    cohort: CohortOption = None,
    bundle: Annotated[Path | None, typer.Option(help="Whose denoiser is measured; one is trained without.")] = None,
    slice_labels: Annotated[
        Path | None, typer.Option(help="CSV: case, slice_position_mm, infected; of marked slices.")
    ] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder of infection masks, CASE.nii.gz.")] = None,
    profile: Profile = _PROFILE,
    seed: OneSeed = 0,
    cases: Cases = 50,
    denoiser_controls: DenoiserControls = 30,
    workspace: Workspace = _WORKSPACE,
    output: Output = None,
    tracking_uri: TrackingUri = "",
    json_output: JsonFlag = False,
) -> None:
    """Whether the residual lies in the infection, beside HU threshold, blur and mean lung."""
    options = {"cases": cases, "denoiser_controls": denoiser_controls}
    if bundle is not None:
        # Its denoiser is trained already: nobody is set aside for it, and all cases are measured.
        options |= {"denoiser_controls": 0, "cases": 0}
    _run(
        "localisation",
        cohort,
        profile,
        options,
        workspace,
        output,
        tracking_uri,
        seeds=[seed],
        bundle=bundle,
        masks=masks,
        slice_labels=slice_labels,
        json_output=json_output,
    )


@app.command("compile")
def compile_(
    name: Annotated[
        str, typer.Argument(help="ablation, patches, clinical, crossval, scanners, localisation or readers.")
    ],
    output: Annotated[Path, typer.Option(help="YAML file to write.")],
    image: Annotated[str | None, typer.Option(help="Image of all steps, pinned by digest.")] = None,
    train_image: Annotated[str | None, typer.Option(help="Image of the steps that run a network.")] = None,
    settings: Annotated[str, typer.Option(help="`local`, `cluster` or a YAML file.")] = "cluster",
    profile: Profile = "paper",
    seed: Seeds = [0, 1, 2],  # noqa: B006
    demographics: Annotated[str, typer.Option(help="Its place on the shared disk.")] = "",
    bundle: Annotated[str, typer.Option(help="Its place on the shared disk, for readers and localisation.")] = "",
    pair_id: Annotated[str, typer.Option(help="Of the bundle.")] = "",
    readers: Annotated[str, typer.Option(help="Place of readers.csv on the shared disk.")] = "",
) -> None:
    """Write an experiment's pipeline as Kubeflow takes it."""
    from covidctnet.config import load_profile
    from pipelines.compilation import compile_pipeline
    from pipelines.experiment_plan import ExperimentPlan
    from pipelines.experiments import build_experiment
    from pipelines.settings import load_settings

    plan = ExperimentPlan(
        name=name,
        config=load_profile(profile),
        seeds=tuple(seed),
        clinical=demographics,
        bundle=bundle,
        pair_id=pair_id,
        readers=readers,
    )
    chosen = load_settings(settings, image=image, train_image=train_image)
    compile_pipeline(chosen, output, build=lambda found: build_experiment(plan, found))
    out.print(f"compiled to {output}", highlight=False)


def _run(
    name: str,
    cohort: Path | None,
    profile: str,
    options: dict[str, Any],
    workspace: Path,
    output: Path | None,
    tracking_uri: str,
    *,
    seeds: list[int],
    demographics: Path | None = None,
    bundle: Path | None = None,
    masks: Path | None = None,
    slice_labels: Path | None = None,
    json_output: bool,
) -> None:
    from covidctnet.config import load_profile
    from covidctnet.experiments.options import parse_options
    from pipelines.experiment_plan import ExperimentPlan
    from pipelines.experiment_run import keep_input, phantom_config, phantom_demographics, run_experiment
    from pipelines.settings import load_settings
    from pipelines.workspaces import adopt_cohort, make_demo_data

    config, chosen = load_profile(profile), parse_options(options)
    given: dict[str, str] = {}
    if bundle is not None:
        config, given = _take_bundle(bundle)
    with progress_bars(quiet=json_output) as report:
        if cohort is not None:
            version = adopt_cohort(workspace, cohort)
        else:
            config = phantom_config(config, chosen)
            version = make_demo_data(workspace, config, on_progress=report)
        if name == "clinical" and (demographics is not None or cohort is None):
            given["clinical"] = (
                keep_input(workspace, demographics) if demographics else phantom_demographics(workspace, config.seed)
            )
        if masks is not None:
            given["masks"] = str(masks.resolve())
        if slice_labels is not None:
            given["slice_labels"] = keep_input(workspace, slice_labels)
        result = run_experiment(
            workspace,
            ExperimentPlan(name=name, config=config, options=chosen, seeds=tuple(seeds), **given),
            version,
            load_settings("local"),
            output=output or workspace / name,
            tracking_uri=tracking_uri,
            on_progress=report,
            on_reuse=lambda step: err.print(f"reused: {step}", highlight=False),
        )
    show_result(result, output or workspace / name, json_output=json_output)


def _take_bundle(folder: Path) -> tuple["Config", dict[str, str]]:
    from covidctnet.bundle import load_bundle

    bundle = load_bundle(folder)
    return bundle.config, {"bundle": str(folder.resolve()), "pair_id": bundle.pair_id}


def show_result(result: "ExperimentResult", folder: Path, *, json_output: bool) -> None:
    """Print what an experiment found."""
    if json_output:
        print_json(json.dumps(asdict(result), indent=2))
        return
    counts = ", ".join(f"{count} {label}" for label, count in result.cases.items())
    out.print(f"{result.title}: {result.question}", style="bold", markup=False, highlight=False)
    out.print(f"profile {result.profile}, seeds {', '.join(map(str, result.seeds))}, {counts}", highlight=False)
    for statement in result.statements:
        style = "yellow" if statement.tone == "warning" else ""
        out.print(f"- {statement.text}", style=style, markup=False, highlight=False)
    out.print(f"result {folder}, {len(result.tables)} tables, {len(result.figures)} figures", highlight=False)
    out.print("Research use only. Not a medical device.", style="bold")
