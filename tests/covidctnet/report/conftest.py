from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from covidctnet.config import EvaluationConfig
from covidctnet.evaluation.baselines import CaseDescription, fit_baselines
from covidctnet.evaluation.metrics import evaluate
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.evaluation.residual_contrast import RegionMeans, summarise_contrast
from covidctnet.labels import CONTROL, LABELS
from covidctnet.report.data import CaseExample, CohortCount, ReportData
from covidctnet.volume import Scanner

CONFIG = EvaluationConfig(bootstrap_samples=200)
SCANNERS = (
    Scanner(manufacturer="SIEMENS", model="SOMATOM Scope", kernel="B41s", slice_thickness_mm=2.0, kvp=120),
    Scanner(manufacturer="GE MEDICAL SYSTEMS", model="Revolution", kernel="LUNG", slice_thickness_mm=1.25),
    Scanner(manufacturer="Philips", model="Brilliance 64", kernel="YA", slice_thickness_mm=3.0, kvp=140),
)


def chest(label: int, seed: int, depth: int = 24, side: int = 64) -> CaseExample:
    """A schematic chest whose lungs hold blobs of infection unless it is a Control's."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (depth, side, side)), indexing="ij")
    body = (x / 0.9) ** 2 + (y / 0.68) ** 2 < 1
    taper = 1 - 0.35 * (z + 1) / 2
    lung = np.zeros(body.shape, bool)
    for middle in (-0.42, 0.42):
        lung |= ((x - middle) / (0.3 * taper)) ** 2 + (y / (0.48 * taper)) ** 2 + (z / 0.97) ** 2 < 1
    texture = ndimage.gaussian_filter(rng.normal(size=body.shape), 1.0)
    slices = np.where(body, 0.74, 0.0) + np.where(lung, -0.6, 0.0) + 0.03 * texture * body
    slices[(x**2 + ((y - 0.45) / 0.8) ** 2 < 0.012) & body] = 1.0
    denoised = np.clip(ndimage.gaussian_filter(slices, (0, 0.6, 0.6)) + 0.01 * texture, 0, 1)
    infection = np.zeros(body.shape, bool)
    if label != CONTROL:
        field = ndimage.gaussian_filter(rng.normal(size=body.shape), 3.0)
        infection = lung & (field > np.quantile(field[lung], 0.86))
        density = 0.3 if label == 1 else 0.5
        slices = slices + density * ndimage.gaussian_filter(infection.astype(float), 0.8) * (1 + 0.4 * texture)
    return CaseExample(
        case=f"case-{seed:04d}",
        label=label,
        probabilities=tuple(np.where(np.arange(3) == label, 0.86, 0.07).tolist()),  # type: ignore[arg-type]
        slices=np.clip(slices, 0, 1).astype(np.float32),
        denoised=denoised.astype(np.float32),
        infection=infection,
        lung=lung,
        extent_mm=(290.0, 350.0, 350.0),
        where="" if label == CONTROL else f"{label} % of the lung is marked",
    )


def make_outcomes(patients: int = 45, seed: int = 0, skill: float = 2.2) -> list[CaseOutcome]:
    rng = np.random.default_rng(seed)
    outcomes = []
    for index in range(patients):
        label = index % 3
        logits = rng.normal(size=3)
        logits[label] += skill
        values = np.exp(logits) / np.exp(logits).sum()
        scanner = SCANNERS[(index // 3) % len(SCANNERS)]
        outcomes.append(
            CaseOutcome(
                case=f"case-{index:04d}",
                patient=f"patient-{index:04d}",
                label=label,
                brand=scanner.brand,
                scanner=str(scanner),
                probabilities=tuple(values.tolist()),
                burden=0.125,
                judged=index != 1,
            )
        )
    return outcomes


def make_descriptions(count: int, *, confounded: bool, prefix: str, seed: int = 0) -> list[CaseDescription]:
    rng = np.random.default_rng(seed)
    return [
        CaseDescription(
            case=f"{prefix}-{index}",
            patient=f"{prefix}-{index}",
            label=index % 3,
            scanner=SCANNERS[index % 3 if confounded else (index // 3) % 3],
            spacing_mm=(2.0, 0.7, 0.7),
            shape=(150, 512, 512),
            mean_lung_hu=float(-820 + 40 * (index % 3) + rng.normal(0, 35)),
        )
        for index in range(count)
    ]


def make_report_data(*, patients: int = 45, confounded: bool = False) -> ReportData:
    outcomes = make_outcomes(patients)
    rng = np.random.default_rng(7)
    contrast = {
        method: [
            RegionMeans(
                label=label,
                infection=None if label == 0 else float(rng.normal(inside, 0.02)),
                healthy=float(rng.normal(outside, 0.005)),
            )
            for label in (0, 1, 2) * 5
        ]
        for method, inside, outside in (
            ("denoiser", 0.21, 0.025),
            ("mean lung", 0.25, 0.07),
            ("Gaussian blur 2 px", 0.08, 0.05),
            ("Gaussian blur 4 px", 0.11, 0.06),
        )
    }
    epochs = np.arange(1, 31)
    wrong = [
        replace(chest(label, 90 + label), probabilities=probabilities)
        for label, probabilities in ((1, (0.55, 0.35, 0.1)), (2, (0.2, 0.5, 0.3)))
    ]
    return ReportData(
        title="CovidCTNet: experiment on a synthetic cohort",
        profile="demo",
        config={"name": "demo", "preprocess": {"hu_min": -1000.0, "hu_max": 400.0}},
        seed=3,
        data_version="4f1c2a9be07d",
        code_version="0.1.0+cfde8eb",
        pair_id="9b3f5ad0c2e41877",
        seconds={"preprocess": 41.2, "train denoiser": 388.0, "train classifier": 120.5, "evaluate": 20.25},
        cohort_table=[
            CohortCount(label=label, scanner=str(scanner), split=split, patients=4, cases=4)
            for label in LABELS
            for scanner in SCANNERS
            for split in ("denoiser", "train", "validation", "holdout")
            if split != "denoiser" or label == "Control"
        ],
        metrics=evaluate(outcomes, threshold=0.42, config=CONFIG, seed=0),
        baselines=fit_baselines(
            make_descriptions(90, confounded=confounded, prefix="train"),
            make_descriptions(patients, confounded=confounded, prefix="holdout", seed=1),
            config=CONFIG,
            seed=0,
        ),
        contrast=summarise_contrast(contrast, config=CONFIG, seed=0),
        histories={
            "denoiser": {
                "loss": (0.4 * np.exp(-epochs / 4) + 0.01).tolist(),
                "val_loss": (0.42 * np.exp(-epochs / 4.4) + 0.013).tolist(),
                "learning_rate": [1e-3] * len(epochs),
            },
            "classifier": {
                "loss": (1.1 * np.exp(-epochs / 12)).tolist(),
                "val_loss": (1.1 * np.exp(-epochs / 15) + 0.004 * epochs).tolist(),
                "accuracy": (1 - 0.66 * np.exp(-epochs / 9)).tolist(),
                "val_accuracy": (0.92 - 0.58 * np.exp(-epochs / 9)).tolist(),
            },
        },
        outcomes=outcomes,
        examples=[chest(label, 10 + label) for label in (2, 0, 1)],
        wrong=wrong,
        notes=["This cohort is synthetic: it says nothing about patients."],
    )


@pytest.fixture(scope="session")
def make_data() -> Callable[..., ReportData]:
    return make_report_data


@pytest.fixture(scope="session")
def report_data() -> ReportData:
    return make_report_data()
