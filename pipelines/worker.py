"""One of several machines that train the denoiser together, as a TrainJob starts it on every node."""

import tempfile
from pathlib import Path

from covidctnet.errors import ConfigError
from covidctnet.files import publish, read_json, write_json

INPUTS = ("config.json", "records", "healthy")
"""What a run's folder must hold: the configuration, and the outputs of `preprocess` by shard."""


def train_denoiser_together(run: Path) -> Path:
    """Train the denoiser with all workers of the job; the first of them writes it.

    The folder lies on a disk that all workers share. After a kill of any of them all start again, and go on from
    the last checkpoint.

    Args:
        run: holds `config.json`, `records/<shard>/` and `healthy/<shard>/`; receives `denoiser/` with the network
            and `histories.json`, and `checkpoints/`.

    Returns:
        The folder of the network.

    Raises:
        ConfigError: an input is missing, or the workers' addresses contradict each other.
        TrainingError: a loss is not finite, or the denoiser collapsed.
    """
    from covidctnet.training.workers import is_chief, join_workers

    missing = [name for name in INPUTS if not (run / name).exists()]
    if missing:
        raise ConfigError(f"the run's folder holds no {', '.join(missing)}; put the outputs of preprocess there")
    # Before TensorFlow is loaded: it reads what this sets once.
    join_workers()
    from covidctnet.config import parse_config
    from covidctnet.machine import code_version
    from covidctnet.stages.prepared import PreparedCohort
    from covidctnet.stages.train_denoiser import train_and_save_denoiser
    from covidctnet.stages.training_state import TrainingState

    config = parse_config(read_json(run / "config.json"))
    state = TrainingState(folder=run / "checkpoints", config=config, code_version=code_version())
    prepared = PreparedCohort.load(sorted((run / "records").iterdir()))
    output = run / "denoiser"
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "denoiser"
        histories = train_and_save_denoiser(prepared, sorted((run / "healthy").iterdir()), made / "network", state)
        write_json(made / "histories.json", histories)
        if is_chief():
            publish(made, output)
    return output
