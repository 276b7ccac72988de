import numpy as np
import pytest

from covidctnet.config import Config, parse_config
from covidctnet.errors import TrainingError
from covidctnet.training.classifier import ShuffledStacks, train_classifier

SHAPE = (18, 18, 18)


def cases(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Residuals whose class is the half of the box that is bright: none, low or high."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    stacks = rng.normal(0, 0.01, (count, *SHAPE)).astype(np.float32)
    for stack, label in zip(stacks, labels, strict=True):
        if label:
            stack[2:8] += 0.1 * label
    return stacks, labels.astype(np.int64)


def config(**classifier: object) -> Config:
    values = {
        "filters": (2, 4), "dense_units": 8, "dropout": 0.0, "learning_rate": 0.003, "batch_size": 6, "epochs": 12,
        "input_gain": 10.0, **classifier,
    }  # fmt: skip
    return parse_config({"name": "t", "residual": {"shape": SHAPE}, "classifier": values})


def test_what_is_easy_is_learned_and_the_same_seed_gives_the_same_weights() -> None:
    train, validation = cases(30, 0), cases(12, 1)
    runs = [train_classifier(*train, *validation, config(learning_rate_decay="cosine")) for _ in range(2)]
    model, history = runs[0]
    fresh, labels = cases(12, 2)
    assert np.mean(model.predict(fresh[..., None], verbose=0).argmax(axis=1) == labels) > 0.9
    assert history["loss"][-1] < history["loss"][0]
    for one, other in zip(model.get_weights(), runs[1][0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_weights_of_the_wanted_epoch_are_kept(keep: str) -> None:
    validation, labels = cases(12, 1)
    model, history = train_classifier(
        *cases(30, 0), validation, labels, config(learning_rate=0.05, epochs=8, keep=keep)
    )
    loss = model.evaluate(validation[..., None], np.eye(3, dtype=np.float32)[labels], verbose=0)[0]
    best, last = min(history["val_loss"]), history["val_loss"][-1]
    assert best < last
    assert loss == pytest.approx(best if keep == "best" else last, rel=1e-4)


def test_flips_mirror_left_and_right_of_about_half() -> None:
    stacks, labels = cases(40, 0)
    batch, targets = ShuffledStacks(stacks, labels, batch_size=40, seed=1, flip=True).batch(0, 0)
    plain, same = ShuffledStacks(stacks, labels, batch_size=40, seed=1, flip=False).batch(0, 0)
    np.testing.assert_array_equal(targets, same)
    mirrored = [not np.array_equal(a, b) for a, b in zip(batch, plain, strict=True)]
    assert 10 < sum(mirrored) < 30
    np.testing.assert_array_equal(batch[mirrored], plain[mirrored][..., ::-1, :])


def test_shifts_move_each_stack_by_a_few_voxels() -> None:
    stacks, labels = cases(12, 0)
    moved = ShuffledStacks(stacks, labels, batch_size=12, seed=1, flip=False, shift=2).batch(0, 0)[0][..., 0]
    plain = ShuffledStacks(stacks, labels, batch_size=12, seed=1, flip=False).batch(0, 0)[0][..., 0]
    steps = range(-2, 3)
    for one, other in zip(moved, plain, strict=True):
        found = [(z, y, x) for z in steps for y in steps for x in steps
                 if np.array_equal(one, np.roll(other, (z, y, x), (0, 1, 2)))]  # fmt: skip
        assert len(found) == 1
    assert not np.array_equal(moved, plain)


def test_a_missing_class_is_refused_by_name() -> None:
    stacks, labels = cases(12, 0)
    keep = labels != 2
    with pytest.raises(TrainingError, match="no case of CAP"):
        train_classifier(stacks[keep], labels[keep], stacks, labels, config())
