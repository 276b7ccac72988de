"""A training that was stopped anywhere ends with the weights of one that never was."""

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from covidctnet.errors import TrainingInterruptedError
from covidctnet.training.checkpoint import Checkpoint, Place
from covidctnet.training.classifier import train_classifier
from covidctnet.training.denoiser import train_denoiser
from covidctnet.training.history import write_history
from tests.covidctnet.training.test_train_classifier import cases
from tests.covidctnet.training.test_train_classifier import config as classifier_config
from tests.covidctnet.training.test_train_denoiser import config as denoiser_config
from tests.covidctnet.training.test_train_denoiser import healthy


class KilledError(Exception):
    """Stands for the power that fails after an epoch."""


def train(network: str, checkpoint: Checkpoint | None = None, on_epoch: Any = lambda *told: None) -> Any:
    if network == "denoiser":
        settings = denoiser_config(epochs=3, dropout=0.2, learning_rate_decay="cosine")
        return train_denoiser(healthy(40), healthy(8, 1), settings, checkpoint=checkpoint, on_epoch=on_epoch)
    settings = classifier_config(epochs=3, dropout=0.2, flip_augmentation=True, gradient_clip=1.0)
    return train_classifier(*cases(30, 0), *cases(12, 1), settings, checkpoint=checkpoint, on_epoch=on_epoch)


@pytest.fixture(scope="module", params=["denoiser", "classifier"])
def whole(request: pytest.FixtureRequest) -> tuple[str, list[np.ndarray], dict[str, list[float]]]:
    model, history = train(request.param)
    return request.param, model.get_weights(), history


def require_equal(whole: Any, outcome: Any) -> None:
    model, history = outcome
    for one, other in zip(whole[1], model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert history == whole[2]


@pytest.mark.parametrize("stopped_after", [1, 2])
def test_a_training_killed_between_epochs_goes_on(whole: Any, stopped_after: int, tmp_path: Path) -> None:
    def fail(done: int, total: int, history: object) -> None:
        if done == stopped_after:
            raise KilledError

    with pytest.raises(KilledError):
        train(whole[0], Checkpoint(tmp_path / "c.npz", "same"), fail)
    epochs = []
    again = train(whole[0], Checkpoint(tmp_path / "c.npz", "same"), lambda done, *rest: epochs.append(done))
    require_equal(whole, again)
    assert epochs == list(range(stopped_after + 1, 4))


@pytest.mark.parametrize("batch", [0, 3])
def test_a_sigterm_stops_at_a_batch_and_the_rest_follows(
    whole: Any, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from covidctnet.training import loop

    seen = []

    def counting(sums: Any, values: Any, count: int) -> Any:
        seen.append(count)
        if len(seen) == batch + 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(sums, values, count)

    original = loop._add
    monkeypatch.setattr(loop, "_add", counting)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(TrainingInterruptedError, match=f"{whole[0]} was stopped in epoch 1 of 3; run the same"):
        train(whole[0], Checkpoint(tmp_path / "c.npz", "same"))
    assert signal.getsignal(signal.SIGTERM) == before
    with np.load(tmp_path / "c.npz") as file:
        assert json.loads(file["head"].tobytes())["place"]["batch"] == batch + 1
    monkeypatch.setattr(loop, "_add", original)
    require_equal(whole, train(whole[0], Checkpoint(tmp_path / "c.npz", "same")))


def test_a_finished_training_is_not_repeated_and_another_one_is_not_taken_for_it(whole: Any, tmp_path: Path) -> None:
    train(whole[0], Checkpoint(tmp_path / "c.npz", "same"))
    epochs: list[int] = []
    require_equal(
        whole, train(whole[0], Checkpoint(tmp_path / "c.npz", "same"), lambda done, *rest: epochs.append(done))
    )
    assert epochs == []
    require_equal(
        whole, train(whole[0], Checkpoint(tmp_path / "c.npz", "other"), lambda done, *rest: epochs.append(done))
    )
    assert epochs == [1, 2, 3]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"no zip"])
def test_a_damaged_checkpoint_is_left_aside(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.npz").write_bytes(content)
    assert Checkpoint(tmp_path / "c.npz", "same").load([]) is None


def test_a_checkpoint_reads_back_as_it_was_written(tmp_path: Path) -> None:
    import keras

    variables = [keras.Variable(np.arange(3.0)), keras.Variable(7, dtype="int32")]
    checkpoint = Checkpoint(tmp_path / "sub" / "c.npz", "same")
    place = Place(epoch=2, batch=1, sums={"loss": 0.1, "count": 4.0}, history={"loss": [0.3, 0.2]})
    checkpoint.save(place, variables, [np.eye(2)])
    fresh = [keras.Variable(np.zeros(3)), keras.Variable(0, dtype="int32")]
    loaded, best = checkpoint.load(fresh)
    assert loaded == place
    np.testing.assert_array_equal(best[0], np.eye(2))
    np.testing.assert_array_equal(np.asarray(fresh[0]), [0.0, 1.0, 2.0])
    assert int(fresh[1].numpy()) == 7
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["c.npz"]


def test_patience_ends_a_training_that_no_longer_gains(tmp_path: Path) -> None:
    settings = denoiser_config(epochs=30, patience=2, learning_rate=0.5)
    checkpoint = Checkpoint(tmp_path / "c.npz", "same")
    try:
        history = train_denoiser(healthy(16), healthy(8, 1), settings, checkpoint=checkpoint)[1]
    except Exception:  # noqa: BLE001 - such a rate may well make it collapse; the losses are what counts here
        with np.load(tmp_path / "c.npz") as file:
            history = json.loads(file["head"].tobytes())["place"]["history"]
    losses = history["val_loss"]
    assert len(losses) < 30
    assert len(losses) - 1 - int(np.argmin(losses)) == 2


def test_a_thread_leaves_signals_alone() -> None:
    from covidctnet.training.interruption import stop_on_sigterm

    before, seen = signal.getsignal(signal.SIGTERM), []

    def look() -> None:
        with stop_on_sigterm() as stop:
            seen.append((signal.getsignal(signal.SIGTERM), bool(stop)))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [(before, False)]


def test_losses_can_be_watched_line_by_line(tmp_path: Path) -> None:
    write_history(tmp_path / "h.jsonl", {"loss": [0.5, 0.4], "val_loss": [0.6, 0.55]})
    lines = [json.loads(line) for line in (tmp_path / "h.jsonl").read_text().splitlines()]
    assert lines == [{"epoch": 1, "loss": 0.5, "val_loss": 0.6}, {"epoch": 2, "loss": 0.4, "val_loss": 0.55}]
