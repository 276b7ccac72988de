import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from covidctnet.config import load_profile
from covidctnet.errors import ConfigError
from covidctnet.networks.saving import load_keras_denoiser
from covidctnet.phantom.cohort import make_phantom_cohort
from covidctnet.splits import Ledger, assign_splits
from covidctnet.stages.preprocess_cohort import ShardFolders, preprocess_shard
from pipelines.worker import train_denoiser_together

ROOT = Path(__file__).parents[2]


def test_a_folder_without_its_inputs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    with pytest.raises(ConfigError, match=r"config\.json, healthy"):
        train_denoiser_together(tmp_path)


@pytest.mark.slow
@pytest.mark.long
def test_two_workers_of_a_job_train_one_denoiser(tmp_path: Path) -> None:
    smoke = load_profile("smoke", epochs=2)
    config = replace(smoke, denoiser=replace(smoke.denoiser, warm_start_epochs=0))
    cohort = make_phantom_cohort(tmp_path / "cohort", config.phantom, config.seed)
    ledger = assign_splits(cohort, config.splits, config.seed, Ledger())
    run = tmp_path / "run"
    folders = ShardFolders(slices=tmp_path / "slices", healthy=run / "healthy" / "0", records=run / "records" / "0")
    preprocess_shard(cohort, cohort.cases, ledger, config, folders)
    (run / "config.json").write_text(json.dumps(asdict(config)))
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    workers = ",".join(f"127.0.0.1:{port.getsockname()[1]}" for port in ports)
    for port in ports:
        port.close()
    command = [sys.executable, "-c", "from cli.main import main; main()", "pipeline", "worker", "denoiser", str(run)]
    started = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "COVIDCTNET_WORKERS": workers, "JOB_COMPLETION_INDEX": str(index)},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        for index in range(2)
    ]
    for process in started:
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error[-2000:]
    losses = json.loads((run / "denoiser" / "histories.json").read_text())["denoiser"]["loss"]
    assert len(losses) == 2
    assert losses[1] < losses[0]
    weights = load_keras_denoiser(run / "denoiser" / "network").get_weights()
    assert all(np.isfinite(values).all() for values in weights)
