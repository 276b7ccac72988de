"""A report as plain blocks, written as one HTML page without any outside reference, and as Markdown."""

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from covidctnet.report.templates import load_template
from covidctnet.report.turning_clouds import cloud_script


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """Plain text; a `notice` stands out, an `alert` more."""

    text: str
    kind: str = "plain"


@dataclass(frozen=True, kw_only=True)
class Bullets:
    """A list of plain texts."""

    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table.

    Attributes:
        title: above it.
        columns: headings.
        rows: cells as text, as many as there are columns.
        note: below it; empty for none.
        folded: whether a reader has to open it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    folded: bool = False


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure as a PNG file, with a caption and a text for readers who do not see it."""

    path: Path
    caption: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class TurningClouds:
    """Point clouds that a reader turns, from `turning_clouds`; Markdown has none of them."""

    clouds: Sequence[dict[str, Any]]
    caption: str


Block = Paragraph | Bullets | Grid | Picture | TurningClouds


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what stands below it.

    Attributes:
        name: in addresses, letters and hyphens.
        title: as a reader sees it.
        blocks: in their order.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A whole report.

    Attributes:
        title: of the page.
        disclaimer: at the top and at the foot.
        versions: names and values below the title.
        sections: in their order.
    """

    title: str
    disclaimer: str
    versions: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...] = field(default_factory=tuple)


def render_html(document: Document) -> str:
    """One page that fetches nothing; its policy lets only its own script run."""
    script, script_hash = cloud_script()
    turning = [block for section in document.sections for block in section.blocks if isinstance(block, TurningClouds)]
    return load_template("experiments.html").render(
        document=document,
        script=script if turning else "",
        script_policy=f"'{script_hash}'" if turning else "'none'",
        kind=lambda block: type(block).__name__,
        embed=lambda path: base64.b64encode(path.read_bytes()).decode("ascii"),
        to_script=_to_script,
    )


def _to_script(cloud: dict[str, Any]) -> str:
    # Inside a script element only this sequence could end the data early.
    return json.dumps(cloud).replace("<", "\\u003c")


def render_markdown(document: Document, folder: Path) -> str:
    """The same as Markdown, with figures by their paths relative to a folder."""
    versions = " · ".join(f"{name} `{value}`" for name, value in document.versions)
    lines = [f"# {document.title}", "", f"**{document.disclaimer}**", "", versions, ""]
    for section in document.sections:
        lines += [f"## {section.title}", ""]
        for block in section.blocks:
            lines += [*_markdown(block, folder), ""]
    return "\n".join([*lines, document.disclaimer, ""])


def _markdown(block: Block, folder: Path) -> list[str]:
    if isinstance(block, Paragraph):
        return [block.text if block.kind == "plain" else f"> **Note.** {block.text}"]
    if isinstance(block, Bullets):
        return [f"- {text}" for text in block.texts]
    if isinstance(block, Grid):
        rows = [block.columns, ("---",) * len(block.columns), *block.rows]
        table = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
        return [f"**{block.title}**", "", *table, *(["", block.note] if block.note else [])]
    if isinstance(block, Picture):
        place = os.path.relpath(block.path, folder).replace(os.sep, "/")
        return [f"![{block.alt}]({place})", "", f"*{block.caption}*"]
    return ["*The point clouds that can be turned are in the HTML report.*"]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
