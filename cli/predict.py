"""`covidctnet predict`: one study in, one answer out."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import err, load_libraries, out, print_json, progress_bars, table


def predict(
    study: Annotated[Path, typer.Argument(help="Folder, zip or file of DICOM images; NIfTI and NRRD for research.")],
    bundle: Annotated[Path, typer.Option(help="Bundle folder that training wrote.")] = Path("runs/demo/bundle"),
    max_out_of_distribution: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Name no class above this distance from the training data; the bundle's own if not given."
        ),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Answer for one CT study: probabilities, scanner and warnings. Research use, not a medical device."""
    from covidctnet.bundle import load_bundle
    from covidctnet.config import AnswerConfig
    from covidctnet.predictor import Predictor
    from covidctnet.reading import read_volume

    with progress_bars(quiet=json_output or not err.is_terminal) as report:
        config = load_bundle(bundle).config
        report("predict", 0, 3)
        volume = read_volume(study, config.reader)
        report("predict", 1, 3)
        load_libraries()
        policy = None
        if max_out_of_distribution is not None:
            policy = AnswerConfig(max_out_of_distribution=max_out_of_distribution)
        predictor = Predictor.load(bundle, policy=policy)
        report("predict", 2, 3)
        answer = predictor.predict(volume)
        report("predict", 3, 3)
    if json_output:
        print_json(answer.to_json())
        return
    rows = [(name, f"{value:.3f}") for name, value in answer.probabilities.items()]
    out.print(table(f"{answer.label}, {answer.scanner}", ("class", "probability"), rows))
    out.print(answer.series, markup=False, highlight=False)
    out.print(answer.burden.words, markup=False, highlight=False)
    if answer.covid_positive is not None:
        verdict = "positive" if answer.covid_positive else "negative"
        out.print(f"Covid-19 {verdict} at threshold {answer.covid_threshold:.3f}")
    out.print(f"bundle {answer.pair_id}", highlight=False)
    for warning in answer.warnings:
        err.print(f"warning: {warning}", style="yellow", markup=False, highlight=False)
    out.print(answer.disclaimer, style="bold")
