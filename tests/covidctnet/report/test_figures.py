import io
from collections.abc import Callable
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib import _pylab_helpers
from matplotlib.figure import Figure
from matplotlib.image import imread

from covidctnet.errors import GeometryError
from covidctnet.report.anatomy import body_region, lung_region, slice_to_show, surface
from covidctnet.report.clouds import cloud_figure
from covidctnet.report.comparisons import baseline_figure, contrast_figure
from covidctnet.report.curves import confusion_figure, learning_figure, reliability_figure, roc_figure
from covidctnet.report.data import CaseExample, ReportData
from covidctnet.report.images import gallery_figure, slices_figure

DRAWINGS: dict[str, Callable[[ReportData], Figure]] = {
    "roc": lambda data: roc_figure(data.outcomes),
    "confusion": lambda data: confusion_figure(data.metrics),
    "reliability": lambda data: reliability_figure(data.outcomes),
    "learning": lambda data: learning_figure(data.histories),
    "slices": lambda data: slices_figure(data.one_a_class),
    "clouds": lambda data: cloud_figure(data.one_a_class),
    "gallery": lambda data: gallery_figure(data.wrong),
    "contrast": lambda data: contrast_figure(data.contrast),
    "baselines": lambda data: baseline_figure(data.metrics, data.baselines),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_figure_is_not_blank_and_leaves_no_global_state(name: str, report_data: ReportData) -> None:
    settings = dict(matplotlib.rcParams)
    figure = DRAWINGS[name](report_data)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    file.seek(0)
    picture = imread(file)
    assert min(picture.shape[:2]) > 200
    assert picture[..., :3].std() > 0.03
    assert not _pylab_helpers.Gcf.figs
    assert dict(matplotlib.rcParams) == settings


def test_examples_come_one_a_class_in_the_order_of_the_classes(report_data: ReportData) -> None:
    assert [example.label for example in report_data.one_a_class] == [0, 1, 2]


def test_a_single_wrong_case_and_many_are_drawn(report_data: ReportData) -> None:
    one, many = gallery_figure(report_data.wrong[:1]), gallery_figure(list(report_data.wrong) * 10)
    assert one.get_figheight() < many.get_figheight()
    assert sum(len(panel.axes) for panel in many.subfigs) == 24


def test_learning_rate_is_no_panel_and_short_histories_are_drawn(report_data: ReportData) -> None:
    figure = learning_figure({"denoiser": {"loss": [0.3], "val_loss": [float("nan")], "learning_rate": [1e-3]}})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Denoiser: loss"]


def test_lungs_are_found_by_their_density_where_no_mask_is_known(report_data: ReportData) -> None:
    example = report_data.one_a_class[1]
    assert example.lung is not None
    found = lung_region(replace(example, lung=None))
    overlap = 2 * (found & example.lung).sum() / (found.sum() + example.lung.sum())
    assert overlap > 0.85


def test_the_body_holds_the_lungs_and_surfaces_are_thin(report_data: ReportData) -> None:
    example = report_data.one_a_class[0]
    assert example.lung is not None
    body = body_region(example.slices)
    assert body[example.lung].all()
    assert 0 < surface(body).sum() < 0.3 * body.sum()
    assert not body_region(np.zeros((2, 16, 16), np.float32)).any()


def test_the_slice_shown_is_the_one_with_most_infection_or_residual(report_data: ReportData) -> None:
    example = report_data.one_a_class[1]
    assert example.infection is not None
    assert example.lung is not None
    areas = example.infection.sum(axis=(1, 2))
    assert areas[slice_to_show(example, example.lung)] == areas.max()
    denoised = example.slices.copy()
    denoised[9] -= 0.5
    strongest = replace(example, infection=None, denoised=denoised)
    assert slice_to_show(strongest, example.lung) == 9
    assert slice_to_show(strongest, example.lung & False) == len(example.slices) // 2


def test_examples_without_any_mask_are_drawn(report_data: ReportData) -> None:
    plain = [replace(e, lung=None, infection=None, extent_mm=None) for e in report_data.one_a_class[:1]]
    assert len(slices_figure(plain).axes) == 5
    assert len(cloud_figure(plain).axes) == 2


def test_arrays_of_different_shape_are_refused(report_data: ReportData) -> None:
    example: CaseExample = report_data.examples[0]
    with pytest.raises(GeometryError, match=r"denoised has shape \(2, 64, 64\)"):
        replace(example, denoised=example.denoised[:2])
    with pytest.raises(GeometryError, match=r"expected slices \(z, y, x\)"):
        replace(example, slices=example.slices[0])
