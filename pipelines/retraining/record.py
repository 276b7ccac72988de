"""The record of a retraining: one file a data version, written before and after everything that it does."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from covidctnet.errors import PipelineError
from covidctnet.files import read_json, write_json

State = Literal["started", "submitted", "challenger", "refused", "failed"]
OVER = ("challenger", "refused")
"""States in which the same data version is done with."""

_FOLDER = "retraining"


@dataclass(kw_only=True)
class RetrainRecord:
    """One retraining, over all its attempts.

    Attributes:
        data_version: what is trained on.
        since: what was trained on before; empty where nothing was.
        plan: why it was worth a run, as words.
        config: the whole configuration, kept as it was at the first start.
        champion: `pair_id` of the model that the candidate is compared with, or "none".
        state: where it stands.
        attempts: how often the run was started.
        run: identifier of the run under way or of the last one; empty before.
        code_version: with which that run was started.
        candidate: `pair_id`, once it is judged.
        model_version: of the candidate in the registry.
        decision: folder of the decision.
        reasons: why it was refused or what the decision rests on; why it failed.
        owed: channels that have not taken the last notice yet.
    """

    data_version: str
    since: str
    plan: list[str]
    config: dict[str, Any]
    champion: str
    state: State = "started"
    attempts: int = 0
    run: str = ""
    code_version: str = ""
    candidate: str = ""
    model_version: int = 0
    decision: str = ""
    reasons: list[str] = field(default_factory=list)
    owed: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether this data version is done with."""
        return self.state in OVER

    def save(self, workspace: Path) -> None:
        """Write the record at once."""
        path = record_path(workspace, self.data_version)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(self))


def record_path(workspace: Path, data_version: str) -> Path:
    """Where the record of a data version is."""
    return workspace / _FOLDER / f"{data_version.removesuffix('.dir')}.json"


def find_retraining(workspace: Path, data_version: str) -> RetrainRecord | None:
    """The record of a data version; None where it was never started.

    Raises:
        PipelineError: the record is damaged.
    """
    path = record_path(workspace, data_version)
    if not path.is_file():
        return None
    try:
        return RetrainRecord(**read_json(path))
    except (TypeError, ValueError):
        raise PipelineError(
            f"the record of the retraining of {data_version} is damaged; put {_FOLDER}/{path.name} aside to start anew"
        ) from None


def set_aside(workspace: Path, record: RetrainRecord) -> None:
    """Keep a finished record under another name, so that the data version can be trained again."""
    path = record_path(workspace, record.data_version)
    number = 1
    while (old := path.with_name(f"{path.stem}.{number}.json")).exists():
        number += 1
    path.rename(old)
