import re
import shutil
import subprocess
import sys
from pathlib import Path

import covidctnet
from covidctnet.machine import code_version, describe_machine, usable_cores


def test_the_machine_is_described() -> None:
    facts = describe_machine()
    assert facts["python"].startswith("3.11.")
    assert "tensorflow" in facts["backends"]
    assert facts["denoiser_backends"][0] == "openvino"
    assert facts["packages"]["openvino"]
    assert facts["packages"]["numpy"]
    assert 1 <= facts["cores"] == usable_cores()
    assert 0 < facts["memory_gib"]["available"] <= facts["memory_gib"]["total"]
    assert describe_machine(probe_gpu=True)["gpus"] == [] or describe_machine(probe_gpu=True)["gpu_driver"]


def test_outside_a_checkout_the_version_is_a_hash_of_the_sources(tmp_path: Path) -> None:
    package = Path(covidctnet.__file__).parent
    shutil.copytree(package, tmp_path / "covidctnet", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", "from covidctnet.machine import code_version; print(code_version())"]
    versions = []
    for _ in range(2):
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        versions.append(result.stdout.strip())
        (tmp_path / "covidctnet" / "labels.py").write_text("LABELS = ()\n")
    assert all(re.fullmatch(r".+\+[0-9a-f]{12}", version) for version in versions)
    assert versions[0] != versions[1]


def test_in_a_checkout_the_version_is_the_commit() -> None:
    if (Path(covidctnet.__file__).parents[1] / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{7,40}(-dirty)?", code_version())
    else:
        assert "+" in code_version()
