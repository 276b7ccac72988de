import numpy as np
import pytest

from covidctnet.errors import ConfigError, TrainingError
from covidctnet.networks.patches import build_patch_classifier
from covidctnet.training.patches import BATCH, TRAINED_PATCHES, CasePatches, PatchBatches


def case(value: float = 0.0) -> CasePatches:
    """Slices whose value is their own index plus `value`, with lung in the first corner of the second slice alone."""
    slices = np.broadcast_to(np.arange(3.0)[:, None, None] + value, (3, 32, 32)).astype(np.float32)
    lungs = np.zeros(slices.shape, bool)
    lungs[1, :4, :4] = True
    return CasePatches(slices, lungs)


def test_patches_are_whole_and_come_from_lung_alone():
    drawn = case().draw(np.random.default_rng(0), 20)
    assert drawn.shape == (20, 8, 8)
    assert (drawn == 1.0).all()
    assert case().spread(1000).shape == (16, 8, 8)
    with pytest.raises(TrainingError, match="without lungs"):
        CasePatches(np.zeros((3, 32, 32), np.float32), np.zeros((3, 32, 32), bool))


def test_a_patch_is_centred_on_its_voxel():
    slices = np.zeros((1, 32, 32), np.float32)
    slices[0, 20, 12] = 1.0
    lungs = slices > 0
    patch = CasePatches(slices, lungs).spread(1)[0]
    assert np.argwhere(patch).tolist() == [[4, 4]]


def test_batches_carry_the_patients_label_and_are_the_same_for_a_seed():
    labels = np.array([0, 2])
    batches = PatchBatches([case(0.0), case(10.0)], labels, seed=1)
    assert len(batches) == -(-2 * TRAINED_PATCHES // BATCH)
    patches, targets = batches.batch(0, 0)
    assert ((patches[:, 0, 0, 0] > 5) == (targets.argmax(axis=1) == 2)).all()
    again = PatchBatches([case(0.0), case(10.0)], labels, seed=1).batch(0, 0)
    assert (again[0] == patches).all()
    assert not (batches.batch(1, 0)[1] == targets).all()
    fixed = PatchBatches([case(0.0), case(10.0)], labels, seed=1, fixed=True)
    assert (fixed.batch(0, 0)[0] == fixed.batch(5, 0)[0]).all()


def test_the_network_answers_with_probabilities_and_refuses_tiny_patches():
    model = build_patch_classifier(16, dropout=0.0, seed=0)
    answer = np.asarray(model(np.zeros((2, 16, 16, 1), np.float32)))
    assert answer.shape == (2, 3)
    assert answer.sum(axis=1) == pytest.approx([1.0, 1.0])
    with pytest.raises(ConfigError, match="too small for 3 stages"):
        build_patch_classifier(7, dropout=0.0)
