"""The overlay that the README tells a site to write does what it says."""

import os
import re
from pathlib import Path

import pytest

from tests.infra.serving.conftest import OVERLAYS, Rendered, render
from tests.infra.serving.test_safety import PINNED, containers

README = OVERLAYS.parent / "README.md"
PAIR_ID = "0123456789abcdef"


def blocks() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


def build(folder: Path, example: str) -> Rendered:
    text = example.replace("../overlays/cpu", os.path.relpath(OVERLAYS / "cpu", folder.resolve()))
    text = text.replace("sha256:…", f"sha256:{'0' * 64}").replace("PAIR_ID", PAIR_ID).replace("YOUR-REGISTRY", "site")
    (folder / "kustomization.yaml").write_text(text)
    return Rendered("site", render(folder))


@pytest.fixture
def site(tmp_path: Path) -> Rendered:
    example = blocks()[0]
    assert example.count("PAIR_ID") == 2
    return build(tmp_path, example)


def test_a_site_names_its_bundle_once_for_both_halves(site: Rendered) -> None:
    (container,) = site.transformer["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment["STORAGE_URI"] == site.predictor["model"]["storageUri"]
    assert environment["STORAGE_URI"].endswith(f"/{PAIR_ID}")
    assert environment.keys() == {"STORAGE_URI", "HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR"}


def test_a_site_pins_both_images_by_digest(site: Rendered) -> None:
    images = [container["image"] for pod in site.pods.values() for container in containers(pod)]
    assert sorted(image.partition("@")[0] for image in images) == [
        "site/covidctnet-transformer",
        "site/tensorflow-serving",
    ]
    assert all(PINNED.search(image) and "@sha256:" in image for image in images)


def test_a_site_has_settings_and_a_namespace_of_its_own(tmp_path: Path, site: Rendered) -> None:
    (tmp_path / "settings.yaml").write_text("admission: {workers: 3}\n")
    other = build(tmp_path, "".join(blocks()))
    assert other.settings == "admission: {workers: 3}\n"
    (name,) = (volume["configMap"]["name"] for volume in other.transformer["volumes"] if "configMap" in volume)
    assert name == other.one("ConfigMap")["metadata"]["name"] != site.one("ConfigMap")["metadata"]["name"]
    spaces = {item["metadata"].get("namespace", item["metadata"]["name"]) for item in other.objects}
    assert spaces == {"covidctnet-b"}
