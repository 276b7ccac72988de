"""Where the training steps keep their state: it outlives a killed step and is never used for another training."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from covidctnet.config import Config
from covidctnet.progress import Progress, silent
from covidctnet.training.checkpoint import Checkpoint
from covidctnet.training.history import History, write_history
from covidctnet.training.loop import OnEpoch


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """A folder of checkpoints and losses by epoch; it may be thrown away, at the price of training again.

    Attributes:
        folder: on a disk that outlives the step.
        config: of all stages.
        code_version: a checkpoint of other code is not used.
        on_progress: told of finished epochs.
    """

    folder: Path
    config: Config
    code_version: str
    on_progress: Progress = silent

    def checkpoint(self, network: str, sections: tuple[str, ...], *inputs: str) -> Checkpoint:
        """State of a network's training.

        Args:
            network: its name.
            sections: of the configuration on which the weights depend, beside the seed.
            inputs: hashes of what it learns from.
        """
        values = asdict(self.config)
        parts = [network, self.code_version, values["seed"], [values[name] for name in sections], *inputs]
        fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return Checkpoint(self.folder / f"{_file_name(network)}-{fingerprint[:16]}.npz", fingerprint)

    def on_epoch(self, network: str) -> OnEpoch:
        """Tell of an epoch and write the losses so far to `<training>.history.jsonl`."""

        def tell(done: int, total: int, history: History) -> None:
            write_history(self.folder / f"{_file_name(network)}.history.jsonl", history)
            self.on_progress(f"train {network}", done, total)

        return tell


def _file_name(network: str) -> str:
    return network.replace(" ", "-")
