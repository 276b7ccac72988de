"""Figures as a table in Markdown, and its place in a page of the documentation."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TARGETS = {
    "reading": 1.8,
    "preprocessing": 25.0,
    "Perlin field": 100.0,
    "denoising": 1.5,
    "whole study": 2.2,
    "training step": 1.5,
}
"""How many times faster than the published method a stage has to be on two cores."""


@dataclass(frozen=True)
class Row:
    """One stage.

    Attributes:
        stage: its name.
        published: median seconds of the published method.
        ours: median seconds of the product.
        limit: seconds that the machine needs at least for the stage's arithmetic or memory traffic.
    """

    stage: str
    published: float
    ours: float
    limit: float | None

    def to_json(self) -> dict[str, Any]:
        """All of it, with ratio, target and share of the limit."""
        ratio, target = self.published / self.ours, TARGETS.get(self.stage)
        return {
            "stage": self.stage,
            "published_seconds": self.published,
            "ours_seconds": self.ours,
            "ratio": ratio,
            "target": target,
            "met": None if target is None else ratio >= target,
            "share_of_limit": None if self.limit is None else self.limit / self.ours,
        }


def to_markdown(figures: dict[str, Any]) -> str:
    """The table of `benchmarks.study`, with what is needed to understand it."""
    machine, limits = figures["machine"], figures["limits"]
    lines = [
        "| stage | published | ours | times faster | target | share of the machine's limit | GPU |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in figures["rows"]:
        target = "" if row["target"] is None else f"{row['target']:g}{'' if row['met'] else ' (missed)'}"
        share = "" if row["share_of_limit"] is None else f"{100 * row['share_of_limit']:.3g} %"
        cells = (
            row["stage"],
            _seconds(row["published_seconds"]),
            _seconds(row["ours_seconds"]),
            f"{row['ratio']:.3g}",
            target,
            share,
            "not measured",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Medians of {figures['rounds']} studies a version, in turn, in one process on {machine['cores']} cores; "
        f"{figures['slices']} slices of 1 mm. Code {machine['code_version']}, TensorFlow "
        f"{machine['packages']['tensorflow']} (oneDNN: {figures['tensorflow_onednn']}), "
        f"OpenVINO {machine['packages']['openvino']}. "
        f"Limits: matrix product {limits['matrix_product_gflops']:.0f} GFLOP/s in float32, copy "
        f"{limits['copy_gbytes']:.1f} GB/s. Decoder of the published version: {figures['decoder_of_published']}. "
        f"Largest difference on the same slices: {figures['differences']['denoised slices']:.1g} after the denoiser, "
        f"{figures['differences']['probabilities']:.1g} in the probabilities.",
    ]
    return "\n".join(lines)


def put_into_page(page: Path, name: str, text: str) -> None:
    """Replace what stands between the comments `name: begin` and `name: end` of a page.

    Raises:
        SystemExit: the page has no such place.
    """
    place = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    old = page.read_text("utf-8")
    if not place.search(old):
        raise SystemExit(f"{page.name} has no place '<!-- {name}: begin -->' ... '<!-- {name}: end -->'")
    page.write_text(place.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", old), "utf-8")


def _seconds(value: float) -> str:
    if value < 0.1:
        return f"{1e3 * value:.3g} ms"
    return f"{value:.3g} s"
