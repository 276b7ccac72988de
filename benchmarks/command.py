"""What the command lines of the serving benchmarks share."""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.table import put_into_page
from benchmarks.untrained import write_untrained
from covidctnet.config import load_profile
from covidctnet.machine import describe_machine

SERIES = ("covid-a.zip", "cap-a.zip", "control-a.zip")


def parse_common(description: str | None) -> argparse.ArgumentParser:
    """Arguments that both serving benchmarks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    parser.add_argument("--bundle", type=Path, default=Path("runs/demo/bundle"), help="folder of the bundle")
    parser.add_argument("--untrained", metavar="PROFILE", help="measure with untrained networks of a profile instead")
    parser.add_argument(
        "--studies", type=Path, nargs="+", default=[data / "series" / name for name in SERIES], help="zips of CT series"
    )
    parser.add_argument("--json", type=Path, help="keep all figures in this file")
    parser.add_argument("--page", type=Path, help="put the tables into this page")
    return parser


@contextmanager
def choose_bundle(arguments: argparse.Namespace, place: str) -> Iterator[tuple[Path, str]]:
    """The bundle that is asked for, and the place in the page for figures of it."""
    if not arguments.untrained:
        yield arguments.bundle, place
        return
    with tempfile.TemporaryDirectory(prefix="covidctnet-benchmark-") as folder:
        yield write_untrained(Path(folder) / "bundle", load_profile(arguments.untrained)).folder, f"{place}-untrained"


def require_studies(paths: Sequence[Path]) -> None:
    """Say what is missing, in one line.

    Raises:
        SystemExit: a study is not there.
    """
    if not all(path.is_file() for path in paths):
        raise SystemExit("there are no such series: name zips by --studies, or the folder of all by SHARED_DATA")


def describe() -> dict[str, Any]:
    """The machine, as it is kept with figures."""
    facts = describe_machine()
    return {key: facts[key] for key in ("code_version", "cores", "gpus", "packages", "python")}


def publish(arguments: argparse.Namespace, figures: Mapping[str, Any], name: str, text: str) -> None:
    """Print the text, keep the figures, put the text into the page."""
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2), "utf-8")
    if arguments.page:
        put_into_page(arguments.page, name, text)
