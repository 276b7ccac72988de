"""Which way of running the denoiser is the fastest? All that were tried, on the same slices, in turn.

`python -m benchmarks.denoisers` takes about two minutes on two idle cores; `--page docs/performance.md` keeps
the table.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.published import networks
from benchmarks.table import put_into_page
from benchmarks.timing import take_turns
from covidctnet.config import load_profile
from covidctnet.networks.denoiser import build_denoiser
from covidctnet.networks.keras_denoiser import KerasDenoiser
from covidctnet.networks.openvino_denoiser import OpenVinoDenoiser, export_to_openvino
from covidctnet.residual import denoise

Run = Callable[[], NDArray[np.float32]]


def variants(slices: NDArray[np.float32], folder: Path) -> dict[str, Run]:
    """Functions that denoise the slices, by name; the first is the published one."""
    import tensorflow as tf

    config = load_profile("paper")
    standard, _ = networks.build(config)
    unrolled = build_denoiser(config.denoiser, config.preprocess.slice_size)
    unrolled.set_weights(standard.get_weights())
    xla = tf.function(lambda batch: unrolled(batch, training=False), jit_compile=True)
    found: dict[str, Run] = {
        "Keras ConvLSTM2D, `model.predict`": lambda: networks.denoise(standard, slices),
        "unrolled, `tf.function`, 16 slices": _over(KerasDenoiser(unrolled), slices, 16),
        "unrolled, XLA, 16 slices": _over(lambda batch: np.asarray(xla(batch)), slices, 16),
    }
    for size, streams in ((1, 1), (16, 1), (1, 0), (4, 0), (16, 0)):
        place = folder / str(size)
        if not place.exists():
            export_to_openvino(unrolled, place, size)
        engine = OpenVinoDenoiser(place, size, streams=streams or None)
        name = "all cores on one batch" if streams else "a core a batch"
        found[f"OpenVINO, {name}, {size} slice{'s' * (size > 1)}"] = _over(engine, slices, size)
    return found


def _over(denoiser: Any, slices: NDArray[np.float32], size: int) -> Run:
    return lambda: denoise(denoiser, slices, size)


def to_markdown(seconds: dict[str, float], differences: dict[str, float]) -> str:
    """One row a variant, with its seconds a slice."""
    slowest = next(iter(seconds.values()))
    lines = ["| variant | ms a slice | times faster | largest difference |", "|---|---:|---:|---:|"]
    for name, value in seconds.items():
        lines.append(f"| {name} | {1e3 * value:.0f} | {slowest / value:.2f} | {differences[name]:.1g} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="runs a variant")
    parser.add_argument("--slices", type=int, default=32, help="slices a run")
    parser.add_argument("--page", type=Path, help="put the table into this page")
    arguments = parser.parse_args()
    side = load_profile("paper").preprocess.slice_size
    slices = np.random.default_rng(0).random((arguments.slices, *side)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        runs = variants(slices, Path(folder))
        times = take_turns(runs, arguments.rounds)
        answers = {name: run() for name, run in runs.items()}
    first = next(iter(answers.values()))
    text = to_markdown(
        {name: times.median(name) / arguments.slices for name in runs},
        {name: float(np.abs(answer - first).max()) for name, answer in answers.items()},
    )
    print(text)
    if arguments.page:
        put_into_page(arguments.page, "denoisers", text)


if __name__ == "__main__":
    main()
