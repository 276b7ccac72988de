"""The page of one study: one HTML file without any external reference."""

import base64
import io

from covidctnet.predictor import NOT_JUDGED
from covidctnet.report.explained import ExplainedStudy
from covidctnet.report.study_figure import describe_images, images_figure, save_figure
from covidctnet.report.templates import load_template


def render_study(study: ExplainedStudy) -> str:
    """The page as text, with its images and the answer as JSON in it."""
    picture = io.BytesIO()
    save_figure(images_figure(study), picture, study)
    return load_template("study.html").render(
        answer=study.document,
        judged=study.document["label"] != NOT_JUDGED,
        picture=f"data:image/png;base64,{base64.b64encode(picture.getvalue()).decode('ascii')}",
        alt=describe_images(study),
        spacing=" x ".join(f"{step:.2f}" for step in study.volume.spacing_mm),
        size=" x ".join(map(str, study.volume.hu.shape)),
    )
