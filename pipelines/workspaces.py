"""Workspaces: a folder with a repository of data, and all that pipeline runs leave beside it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from covidctnet.cohort import Cohort
from covidctnet.config import Config
from covidctnet.errors import CohortError
from covidctnet.files import link_tree, read_json, write_json
from covidctnet.machine import code_version
from covidctnet.phantom.cohort import make_phantom_cohort
from covidctnet.progress import Progress, silent

DATA = "data"
_MADE = "phantoms.json"
_LEFT = ("steps", "state", "splits.csv", _MADE)


def adopt_cohort(workspace: Path, cohort: Path) -> str:
    """Make a cohort the data of a workspace, without copying where the disk allows it; gives its data version.

    Raises:
        CohortError: the folder is no cohort, or the workspace holds another one.
    """
    from integrations.data_versions import add_version
    from integrations.data_workspace import create_workspace

    source, data = Cohort.load(cohort), workspace / DATA
    source.verify()
    if data.exists() and Cohort.load(data).version != source.version:
        shutil.rmtree(data)
    if not data.exists():
        partial = workspace / f".{DATA}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        workspace.mkdir(parents=True, exist_ok=True)
        link_tree(cohort, partial)
        partial.rename(data)
    create_workspace(workspace)
    return add_version(workspace, f"{len(source.cases)} cases")


def make_demo_data(workspace: Path, config: Config, *, on_progress: Progress = silent) -> str:
    """Make the phantom cohort of a demo, unless it is there already; gives its data version.

    A cohort of another seed, size or code is replaced, and the splits of its patients with it.
    """
    from integrations.data_versions import add_version
    from integrations.data_workspace import create_workspace

    data, made = workspace / DATA, workspace / _MADE
    made_of = {"phantom": asdict(config.phantom), "seed": config.seed, "code_version": code_version()}
    # As JSON gives it back: a tuple becomes a list.
    wanted = json.loads(json.dumps(made_of))
    if not (made.is_file() and read_json(made) == wanted and _is_whole(data)):
        workspace.mkdir(parents=True, exist_ok=True)
        made.unlink(missing_ok=True)
        shutil.rmtree(data, ignore_errors=True)
        (workspace / "splits.csv").unlink(missing_ok=True)
        make_phantom_cohort(data, config.phantom, config.seed, on_progress=on_progress)
        write_json(made, wanted)
    create_workspace(workspace)
    return add_version(workspace, f"phantoms of profile {config.name}, seed {config.seed}")


def _is_whole(data: Path) -> bool:
    try:
        Cohort.load(data).verify()
    except CohortError:
        return False
    return True


def forget_runs(workspace: Path) -> None:
    """Remove what earlier runs finished, so that the next one starts anew; results, records and MLflow stay."""
    for name in _LEFT:
        path = workspace / name
        remove: Callable[[Path], None] = shutil.rmtree if path.is_dir() else Path.unlink
        if path.exists():
            remove(path)


def committed_version(root: Path) -> str | None:
    """The data version that a checkout's `data.dvc` names, None where there is no such file."""
    import yaml

    path = root / "data.dvc"
    if not path.is_file():
        return None
    outs = (yaml.safe_load(path.read_text("utf-8")) or {}).get("outs") or [{}]
    md5 = outs[0].get("md5")
    return str(md5) if md5 else None
