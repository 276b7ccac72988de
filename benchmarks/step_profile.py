"""Where does a training step of the denoiser spend its time? By kind of operation, from TensorFlow's own profiler.

`python -m benchmarks.step_profile` takes half a minute; `--page docs/performance.md` keeps the table.
"""

import argparse
import collections
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import product
from benchmarks.limits import forward_flops, matrix_gflops, standard_flops
from benchmarks.table import put_into_page
from covidctnet.config import load_profile
from covidctnet.networks.denoiser import build_denoiser

_SMALL = 0.02
"""Kinds below this share are summed up."""


def seconds_by_kind(steps: int) -> dict[str, float]:
    """Seconds a step of each kind of operation, most first; operations that run side by side count each."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    config = load_profile("paper")
    shape = (config.denoiser.batch_size, *config.preprocess.slice_size, 1)
    step = product.training_step(config, np.random.default_rng(0).random(shape).astype(np.float32))
    for _ in range(3):
        step()
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            for _ in range(steps):
                step()
        (trace,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(trace.read_bytes())
    spent: collections.Counter[str] = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                # Operations are named "name:Kind"; the executor's own functions, which call them, "Class::name".
                name, colon, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
                if colon and kind.isidentifier() and not name.endswith(":"):
                    spent[kind.removeprefix("_MklNative").removeprefix("_Mkl")] += event.duration_ps * 1e-12 / steps
    return dict(spent.most_common())


def to_markdown(seconds: dict[str, float]) -> str:
    """One row a kind, with its share of all."""
    total = sum(seconds.values())
    large = {kind: value for kind, value in seconds.items() if value >= _SMALL * total}
    rows = [*large.items(), ("all others", total - sum(large.values()))]
    lines = ["| operation | ms a step | share |", "|---|---:|---:|"]
    lines += [f"| {kind} | {1e3 * value:.1f} | {100 * value / total:.0f} % |" for kind, value in rows]
    config = load_profile("paper")
    ours = build_denoiser(config.denoiser, config.preprocess.slice_size)
    unrolled, standard = forward_flops(ours) / 1e9, standard_flops(ours) / 1e9
    work = 3 * unrolled * config.denoiser.batch_size
    lines += [
        "",
        f"A slice forwards takes {standard:.1f} GFLOP with the standard ConvLSTM and {unrolled:.1f} unrolled, "
        f"{standard / unrolled:.2f} times less. A step of {config.denoiser.batch_size} slices is three times that, "
        f"{work / matrix_gflops():.2f} s at the speed of the matrix product.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10, help="steps on record")
    parser.add_argument("--page", type=Path, help="put the table into this page")
    arguments = parser.parse_args()
    text = to_markdown(seconds_by_kind(arguments.steps))
    print(text)
    if arguments.page:
        put_into_page(arguments.page, "step-profile", text)


if __name__ == "__main__":
    main()
