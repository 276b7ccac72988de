"""`covidctnet explain`: one study in; its answer, and the images that led to it, out."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.console import err, load_libraries, out, progress_bars


def explain(
    study: Annotated[Path, typer.Argument(help="Folder, zip or file of DICOM images; NIfTI and NRRD for research.")],
    output: Annotated[Path, typer.Option(help="Folder that receives the picture, the page, the answer and volumes.")],
    bundle: Annotated[Path, typer.Option(help="Bundle folder that training wrote.")] = Path("runs/demo/bundle"),
) -> None:
    """Draw what an answer rests on: picture, page, CT and residual. Research use, not a medical device."""
    from covidctnet.bundle import load_bundle
    from covidctnet.predictor import Predictor
    from covidctnet.reading import read_volume
    from covidctnet.report.explain import save_reports
    from covidctnet.report.explained import ExplainedStudy

    with progress_bars(quiet=not err.is_terminal) as report:
        config = load_bundle(bundle).config
        report("explain", 0, 4)
        volume = read_volume(study, config.reader)
        report("explain", 1, 4)
        load_libraries()
        predictor = Predictor.load(bundle)
        report("explain", 2, 4)
        examination = predictor.examine(volume)
        report("explain", 3, 4)
        document = asdict(examination.answer)
        explained = ExplainedStudy(volume=volume, examination=examination, document=document, config=config)
        paths = save_reports(explained, output)
        report("explain", 4, 4)
    answer = examination.answer
    out.print(f"{answer.label}; {answer.burden.words}", markup=False, highlight=False)
    for path in paths:
        out.print(str(path), markup=False, highlight=False, soft_wrap=True)
    for warning in answer.warnings:
        err.print(f"warning: {warning}", style="yellow", markup=False, highlight=False)
    out.print(answer.disclaimer, style="bold")
