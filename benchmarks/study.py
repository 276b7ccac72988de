"""Time each stage of a study beside the published method.

`python -m benchmarks.study` takes about six minutes on two idle cores. It prints a table in Markdown;
`--json FILE` keeps all figures, `--page docs/performance.md` puts the table into that page.
"""

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import product
from benchmarks.limits import copy_gbytes, forward_flops, matrix_gflops
from benchmarks.published import networks, perlin, preprocessing, reading
from benchmarks.table import Row, put_into_page, to_markdown
from benchmarks.timing import Times, take_turns
from covidctnet.config import Config, ReaderConfig, load_profile
from covidctnet.dicom.read import read_study
from covidctnet.machine import describe_machine
from covidctnet.networks.denoiser import build_denoiser
from covidctnet.perlin import perlin_field
from covidctnet.plausibility import check_chest
from covidctnet.preprocess import preprocess
from covidctnet.residual import denoise, stack_residual

SERIES = Path("series") / "covid-a.zip"
FIELD: dict[str, Any] = {
    "scale": 20.0,
    "octaves": 10,
    "persistence": 0.3,
    "lacunarity": 2.0,
    "period": 140,
    "base": 321,
}
COMPARED = 32
"""Slices whose denoised values are compared."""


class Study:
    """One series through both versions, stage by stage."""

    def __init__(self, path: Path, config: Config) -> None:
        self.path, self.config = path, config
        self.published, self.ours = Times(), Times()
        self.networks = networks.build(config)
        self.product = product.load(config, *self.networks)
        self.slices = np.zeros((1, *config.preprocess.slice_size), np.float32)
        self.voxels = 0

    def run_published(self) -> None:
        """Read, preprocess, denoise, subtract, classify as published."""
        times, (denoiser, classifier) = self.published, self.networks
        with times.measure("whole study"):
            with times.measure("reading"):
                hu, spacing = reading.read_series(self.path)
            with times.measure("preprocessing"):
                slices = preprocessing.preprocess(hu, spacing)
            with times.measure("denoising"):
                denoised = networks.denoise(denoiser, slices)
            with times.measure("residual"):
                stack = networks.residual_stack(slices, denoised, self.config.residual.shape)
            with times.measure("classifier"):
                networks.classify(classifier, stack)

    def run_ours(self) -> None:
        """The same through the product's functions; its check that this is a chest counts to the study alone."""
        times, (denoiser, classify), config = self.ours, self.product, self.config
        with times.measure("whole study"):
            with times.measure("reading"):
                volume = read_study(self.path, ReaderConfig())
            volume = check_chest(volume, ReaderConfig())
            with times.measure("preprocessing"):
                self.slices = preprocess(volume, config.preprocess)
            with times.measure("denoising"):
                denoised = denoise(denoiser, self.slices, config.residual.batch_size)
            with times.measure("residual"):
                stack = stack_residual(self.slices, denoised, config.residual)
            with times.measure("classifier"):
                classify(stack[None, ..., None])
        self.voxels = volume.hu.size

    def warm_up(self) -> None:
        """Trace and compile, which a service does once."""
        stack = np.zeros(self.config.residual.shape, np.float32)
        for count in (32, 1):
            networks.denoise(self.networks[0], np.zeros((count, *self.slices.shape[1:]), np.float32))
        networks.classify(self.networks[1], stack)
        self.product[1](stack[None, ..., None])
        self.run_ours()
        self.ours = Times()

    def differences(self) -> dict[str, float]:
        """Largest differences of both versions on the same input."""
        middle = len(self.slices) // 2
        slices = self.slices[middle : middle + COMPARED]
        published = networks.denoise(self.networks[0], slices)
        ours = denoise(self.product[0], slices, self.config.residual.batch_size)
        stack = stack_residual(slices, ours, self.config.residual)
        answers = networks.classify(self.networks[1], stack), self.product[1](stack[None, ..., None])[0]
        return {
            "denoised slices": float(np.abs(published - ours).max()),
            "probabilities": float(np.abs(answers[0] - answers[1]).max()),
        }


def measure(path: Path, rounds: int) -> dict[str, Any]:
    """All figures of a run."""
    config = load_profile("paper")
    study = Study(path, config)
    study.warm_up()
    differences = study.differences()
    limits = {"matrix": matrix_gflops(), "copy": copy_gbytes()}
    for _ in range(rounds):
        study.run_published()
        study.run_ours()
    size = config.preprocess.slice_size
    fields = take_turns(
        {
            "published": lambda: perlin.loop_field(size, **FIELD),
            "ours": lambda: [perlin_field(size, **FIELD) for _ in range(50)],
        },
        rounds,
    )
    batch = np.random.default_rng(0).random((config.denoiser.batch_size, *size, 1)).astype(np.float32)
    steps = take_turns(
        {
            "published": lambda: study.networks[0].train_on_batch(batch, batch),
            "ours": product.training_step(config, batch),
        },
        2 * rounds + 1,
    )
    # Again, for a busy machine changes its mind.
    limits = {"matrix": max(limits["matrix"], matrix_gflops()), "copy": max(limits["copy"], copy_gbytes())}
    rows = _rows(study, fields, steps, limits)
    runs = {"published": study.published, "ours": study.ours, "Perlin": fields, "step": steps}
    facts = describe_machine()
    return {
        "rows": [row.to_json() for row in rows],
        "limits": {"matrix_product_gflops": limits["matrix"], "copy_gbytes": limits["copy"]},
        "differences": differences,
        "decoder_of_published": reading.decoder_name(),
        "tensorflow_onednn": _onednn(),
        "slices": len(study.slices),
        "rounds": rounds,
        "runs": {name: asdict(times) for name, times in runs.items()},
        "machine": {key: facts[key] for key in ("code_version", "cores", "gpus", "packages", "python")},
    }


def _onednn() -> str:
    """Whether TensorFlow uses oneDNN: by default only on processors with certain instructions."""
    asked = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    return "its default" if asked is None else {"1": "on", "0": "off"}.get(asked, asked)


def _rows(study: Study, fields: Times, steps: Times, limits: dict[str, float]) -> list[Row]:
    """One row a stage, with the share of the limit: the least arithmetic or traffic it needs over its time."""
    published, ours, config = study.published, study.ours, study.config
    pixels, field = study.slices.size, int(np.prod(config.preprocess.slice_size))
    # The work of the unrolled network: the published one does more, and need not.
    flops = forward_flops(build_denoiser(config.denoiser, config.preprocess.slice_size))
    work = {
        "denoising": flops * len(study.slices) / (1e9 * limits["matrix"]),
        "classifier": forward_flops(study.networks[1]) / (1e9 * limits["matrix"]),
        "reading": (study.path.stat().st_size + 4 * study.voxels) / (1e9 * limits["copy"]),
        "preprocessing": 4 * (study.voxels + pixels) / (1e9 * limits["copy"]),
        "residual": 4 * (2 * pixels + int(np.prod(config.residual.shape))) / (1e9 * limits["copy"]),
    }
    rows = [
        Row(stage, published.median(stage), ours.median(stage), work.get(stage))
        for stage in ("reading", "preprocessing", "denoising", "residual", "classifier", "whole study")
    ]
    one = fields.median("ours") / 50
    rows.insert(2, Row("Perlin field", fields.median("published"), one, 4 * field / (1e9 * limits["copy"])))
    # Backwards is twice the work of forwards: once for the weights, once for the inputs.
    step = 3 * flops * config.denoiser.batch_size / (1e9 * limits["matrix"])
    rows.append(Row("training step", steps.median("published"), steps.median("ours"), step))
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    parser.add_argument("--series", type=Path, default=data / SERIES, help="zip of a CT series")
    parser.add_argument("--rounds", type=int, default=3, help="studies a version")
    parser.add_argument("--json", type=Path, help="keep all figures in this file")
    parser.add_argument("--page", type=Path, help="put the table into this page")
    arguments = parser.parse_args()
    if not arguments.series.is_file():
        raise SystemExit("there is no such series: name one by --series, or the folder of all by SHARED_DATA")
    figures = measure(arguments.series, arguments.rounds)
    text = to_markdown(figures)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2), "utf-8")
    if arguments.page:
        put_into_page(arguments.page, "study", text)


if __name__ == "__main__":
    main()
