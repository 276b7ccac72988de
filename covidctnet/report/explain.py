"""Reports of one study, the same offline and served: a picture, a page, and volumes for a viewer."""

import json
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Literal, get_args

from covidctnet.report.anatomy import RESIDUAL_RANGE
from covidctnet.report.explained import ANSWER_FIELD, ExplainedStudy
from covidctnet.report.nifti import write_ct, write_marks, write_residual

ReportKind = Literal["png", "html", "volume"]
KINDS: tuple[ReportKind, ...] = get_args(ReportKind)

MEDIA_TYPES: dict[ReportKind, str] = {
    "png": "image/png",
    "html": "text/html; charset=utf-8",
    "volume": "application/zip",
}

ANSWER_FILE, PAGE_FILE, PICTURE_FILE = f"{ANSWER_FIELD}.json", "report.html", "report.png"
CT_FILE, RESIDUAL_FILE, MARKED_FILE = "ct.nii.gz", "residual.nii.gz", "marked.nii.gz"

_EPOCH = (1980, 1, 1, 0, 0, 0)
_DRAWING = threading.Lock()
"""matplotlib keeps settings and fonts for the whole process: two threads may not draw at once."""


def write_report(kind: ReportKind, study: ExplainedStudy, file: IO[bytes]) -> None:
    """Write one report to a seekable file; every kind carries the answer as JSON.

    Args:
        kind: "png" is one picture, "html" a page that needs nothing else, "volume" a zip of `ANSWER_FILE`,
            `PAGE_FILE`, `CT_FILE`, `RESIDUAL_FILE` and `MARKED_FILE`, all three volumes on the grid of the series.
        study: what to draw.
        file: receives it.
    """
    _WRITERS[kind](study, file)


def save_reports(study: ExplainedStudy, folder: Path) -> list[Path]:
    """Write every report of a study as files of a folder; each is complete or as it was before.

    Args:
        study: what to draw.
        folder: made where it does not exist.

    Returns:
        `PICTURE_FILE`, and what the volume's zip holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writers: dict[str, Callable[[IO[bytes]], object]] = {
        PICTURE_FILE: lambda file: _write_png(study, file),
        PAGE_FILE: lambda file: _write_html(study, file),
        ANSWER_FILE: lambda file: file.write(json.dumps(study.document, indent=2).encode()),
        CT_FILE: lambda file: _write_ct(study, file),
        RESIDUAL_FILE: lambda file: _write_residual(study, file),
        MARKED_FILE: lambda file: write_marks(file, study.volume, study.marked),
    }
    for name, write in writers.items():
        partial = folder / f"{name}.partial"
        with partial.open("wb") as file:
            write(file)
        os.replace(partial, folder / name)
    return [folder / name for name in writers]


def _write_png(study: ExplainedStudy, file: IO[bytes]) -> None:
    from covidctnet.report.study_figure import save_figure, study_figure

    with _DRAWING:
        save_figure(study_figure(study), file, study)


def _write_html(study: ExplainedStudy, file: IO[bytes]) -> None:
    from covidctnet.report.study_page import render_study

    with _DRAWING:
        page = render_study(study)
    file.write(page.encode())


def _write_volume(study: ExplainedStudy, file: IO[bytes]) -> None:
    # Fixed times: the same study gives the same bytes, and nothing tells when it was looked at.
    with zipfile.ZipFile(file, "w") as archive:
        answer = zipfile.ZipInfo(ANSWER_FILE, _EPOCH)
        archive.writestr(answer, json.dumps(study.document, indent=2), zipfile.ZIP_DEFLATED)
        with archive.open(zipfile.ZipInfo(PAGE_FILE, _EPOCH), "w") as entry:
            _write_html(study, entry)
        with archive.open(zipfile.ZipInfo(CT_FILE, _EPOCH), "w") as entry:
            _write_ct(study, entry)
        with archive.open(zipfile.ZipInfo(RESIDUAL_FILE, _EPOCH), "w") as entry:
            _write_residual(study, entry)
        with archive.open(zipfile.ZipInfo(MARKED_FILE, _EPOCH), "w") as entry:
            write_marks(entry, study.volume, study.marked)


def _write_ct(study: ExplainedStudy, file: IO[bytes]) -> None:
    preprocess = study.config.preprocess
    write_ct(file, study.volume, (preprocess.hu_min, preprocess.hu_max))


def _write_residual(study: ExplainedStudy, file: IO[bytes]) -> None:
    write_residual(file, study.volume, study.examination.residual, RESIDUAL_RANGE)


_WRITERS: dict[ReportKind, Callable[[ExplainedStudy, IO[bytes]], None]] = {
    "png": _write_png,
    "html": _write_html,
    "volume": _write_volume,
}
