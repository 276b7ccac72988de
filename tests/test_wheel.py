"""The wheel in an environment of its own, outside the checkout: what an image installs is all that is needed."""

import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IMAGE = "registry.example/covidctnet-python@sha256:" + "0123456789abcdef" * 4
SOURCES = ("cli", "components", "covidctnet", "infra", "integrations", "pipelines", "serving")


@pytest.mark.slow
def test_the_installed_wheel_compiles_the_pipeline_outside_the_checkout(tmp_path: Path) -> None:
    source, place = tmp_path / "source", tmp_path / "elsewhere"
    place.mkdir()
    source.mkdir()
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    # Its dependencies are those of the present environment; the product itself must come from the wheel.
    packages = Path(subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                                   capture_output=True, text=True, check=True).stdout.strip())  # fmt: skip
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("covidctnet-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--ignore-installed", wheel], check=True)
    command = [tmp_path / "venv" / "bin" / "covidctnet", "pipeline", "compile", "--image", IMAGE, "--output", "p.yaml"]
    environment = {"PATH": str(python.parent), "HOME": str(tmp_path)}
    result = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (place / "p.yaml").read_text().count(IMAGE) == 11
    # What a roll-out reads is in the wheel as well.
    shipped = (
        "from covidctnet.rollout.policy import load_rollout_policy; load_rollout_policy();"
        "from integrations.rollout.manifests import load_template, template_names;"
        "print(*(len(load_template(name)) for name in template_names()))"
    )
    found = subprocess.run(
        [python, "-c", shipped], cwd=place, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["11", "11"]
    where = [python, "-c", "import pipelines; print(pipelines.__file__)"]
    found = subprocess.run(where, cwd=place, env=environment, capture_output=True, text=True, check=True).stdout
    assert found.startswith(str(packages))
