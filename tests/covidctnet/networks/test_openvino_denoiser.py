"""The exported denoiser: the network's own answer, the same bits on any cores, and nothing sent anywhere."""

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from covidctnet.config import DenoiserConfig, ResidualConfig, load_profile
from covidctnet.errors import BundleError
from covidctnet.networks import build_denoiser
from covidctnet.networks.openvino_denoiser import OpenVinoDenoiser, export_to_openvino
from covidctnet.networks.saving import load_denoiser, load_keras_denoiser, save_denoiser
from covidctnet.residual import denoise

ROOT = Path(__file__).parents[3]
CONFIG = DenoiserConfig(filters=(4, 8, 16, 32))
SIDE = 32
BATCH = 4


@pytest.fixture(scope="module")
def model() -> Any:
    return build_denoiser(CONFIG, (SIDE, SIDE), seed=1)


@pytest.fixture(scope="module")
def networks(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    save_denoiser(model, folder, ResidualConfig(batch_size=BATCH))
    return folder


def study(count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, SIDE, SIDE)).astype(np.float32)


def run(source: str, *arguments: object, home: Path | None = None) -> str:
    """Run Python in a process of its own."""
    environment = {"HOME": str(home or Path.home()), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", source, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_the_export_gives_the_network_s_answer(model: Any, networks: Path) -> None:
    slices = study(7)
    expected = np.asarray(model(slices[..., None], training=False))[..., 0]
    answer = denoise(load_denoiser(networks, ResidualConfig(batch_size=BATCH)), slices, BATCH)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-6)


def test_the_paper_s_network_too(tmp_path: Path) -> None:
    config = load_profile("paper")
    model = build_denoiser(config.denoiser, config.preprocess.slice_size, seed=3)
    export_to_openvino(model, tmp_path / "denoiser", 1)
    batch = np.random.default_rng(0).random((1, *config.preprocess.slice_size, 1)).astype(np.float32)
    expected = np.asarray(model(batch, training=False))
    np.testing.assert_allclose(OpenVinoDenoiser(tmp_path / "denoiser", 1)(batch), expected, rtol=0, atol=1e-5)
    # Weights stay float32: half of the bytes would be half of the precision.
    assert (tmp_path / "denoiser" / "model.bin").stat().st_size > 4 * model.count_params()


DIGEST = """
import hashlib, os, sys
cores = int(sys.argv[3])
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
import numpy as np
from pathlib import Path
from covidctnet.config import ResidualConfig
from covidctnet.networks.saving import load_denoiser
from covidctnet.residual import denoise
slices = np.load(sys.argv[2])
denoised = denoise(load_denoiser(Path(sys.argv[1]), ResidualConfig(batch_size=4)), slices, 4)
assert not {"tensorflow", "keras"} & set(sys.modules), "serving needs no TensorFlow"
print(hashlib.sha256(denoised.tobytes()).hexdigest())
"""


def test_another_process_with_fewer_cores_gives_the_same_bits_without_tensorflow(
    networks: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "slices.npy", study(9))
    digests = {run(DIGEST, networks, tmp_path / "slices.npy", cores) for cores in (1, 2)}
    many = OpenVinoDenoiser(networks / "denoiser", BATCH, threads=4)
    denoised = denoise(many, study(9), BATCH)
    assert digests == {hashlib.sha256(denoised.tobytes()).hexdigest()}


def test_a_slice_is_denoised_to_the_same_bits_whatever_else_is_in_the_study(networks: Path) -> None:
    denoiser, slices = OpenVinoDenoiser(networks / "denoiser", BATCH), study(11)
    together = denoise(denoiser, slices, BATCH)
    for number in range(11):
        assert denoise(denoiser, slices[number : number + 1], BATCH)[0].tobytes() == together[number].tobytes()
    backwards = denoise(denoiser, np.ascontiguousarray(slices[::-1]), BATCH)[::-1]
    assert backwards.tobytes() == together.tobytes()


def test_studies_that_are_denoised_at_the_same_time_do_not_mix(networks: Path) -> None:
    denoiser = OpenVinoDenoiser(networks / "denoiser", BATCH, threads=2)
    studies = [np.full((9, SIDE, SIDE), value, np.float32) for value in np.linspace(0, 1, 8)]
    alone = [denoise(denoiser, slices, BATCH) for slices in studies]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda slices: denoise(denoiser, slices, BATCH), studies))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len({one.tobytes() for one in alone}) == len(studies)


def test_another_export_of_the_same_network_gives_the_same_bits(model: Any, networks: Path, tmp_path: Path) -> None:
    export_to_openvino(model, tmp_path / "denoiser", BATCH)
    one, other = (OpenVinoDenoiser(folder / "denoiser", BATCH) for folder in (networks, tmp_path))
    assert denoise(one, study(5), BATCH).tobytes() == denoise(other, study(5), BATCH).tobytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["denoiser"]
    # What the export went through has left no trace of this machine's folders.
    assert str(tmp_path).encode() not in (tmp_path / "denoiser" / "model.xml").read_bytes()


CONNECTIONS = """
import socket, sys
from pathlib import Path
log = Path(sys.argv[1])
def watch(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        with log.open("a") as file:
            file.write(f"{event}\\n")
sys.addaudithook(watch)
if sys.argv[2] == "loopback":
    try:
        socket.create_connection(("127.0.0.1", 9), timeout=1)
    except OSError:
        pass
else:
    import numpy as np
    from covidctnet.config import DenoiserConfig, ResidualConfig
    from covidctnet.networks import build_denoiser
    from covidctnet.networks.saving import load_denoiser, save_denoiser
    folder, config = Path(sys.argv[2]), ResidualConfig(batch_size=1)
    save_denoiser(build_denoiser(DenoiserConfig(filters=(4, 4, 4, 4)), (16, 16)), folder, config)
    load_denoiser(folder, config)(np.zeros((1, 16, 16, 1), np.float32))
"""


def test_neither_export_nor_inference_calls_home(tmp_path: Path) -> None:
    seen = tmp_path / "connections"
    run(CONNECTIONS, seen, "loopback")
    assert "socket.connect" in seen.read_text()
    seen.unlink()
    run(CONNECTIONS, seen, tmp_path / "networks", home=tmp_path)
    assert not seen.exists()
    # Where its telemetry keeps the identifier of an installation.
    assert not (tmp_path / "intel").exists()
    assert (tmp_path / "networks" / "denoiser" / "model.bin").stat().st_size > 0


def test_the_tensorflow_backend_reads_the_keras_file_alone(model: Any, tmp_path: Path) -> None:
    config = ResidualConfig(backend="tensorflow", batch_size=3)
    save_denoiser(model, tmp_path, config)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["denoiser.keras"]
    slices = study(4)
    answer = denoise(load_denoiser(tmp_path, config), slices, 3)
    expected = np.asarray(load_keras_denoiser(tmp_path)(slices[..., None], training=False))[..., 0]
    np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-6)


def test_a_missing_a_damaged_and_another_export_are_refused(networks: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="exported denoiser cannot be loaded") as refusal:
        OpenVinoDenoiser(tmp_path / "nowhere", BATCH)
    assert str(tmp_path) not in str(refusal.value)
    (tmp_path / "model.xml").write_bytes((networks / "denoiser" / "model.xml").read_bytes()[:500])
    with pytest.raises(BundleError, match="exported denoiser cannot be loaded"):
        OpenVinoDenoiser(tmp_path, BATCH)
    with pytest.raises(BundleError, match=r"batches of shape \(4, 32, 32, 1\), but residual.batch_size is 8"):
        OpenVinoDenoiser(networks / "denoiser", 8)
    with pytest.raises(BundleError, match="the denoiser cannot be loaded"):
        load_keras_denoiser(tmp_path)
