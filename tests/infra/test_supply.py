"""What gets into the images: every package locked with hashes, its licence known, and none copyleft unseen."""

import importlib.metadata
import json
import re
from pathlib import Path

import pytest
import yaml

from infra.licences import IMAGES, REQUIREMENTS, is_permissive, licence_of, locked, read_list
from infra.sbom import write_sbom
from tests.helpers.crds import ROOT

CYCLONEDX = ROOT / ".policy" / "bin" / "cyclonedx-py"


def accepted() -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load((REQUIREMENTS / "copyleft.yaml").read_text("utf-8"))
    return found


def test_every_package_of_an_image_is_on_the_list_and_nothing_else() -> None:
    assert read_list().keys() == {package for role in IMAGES for package in locked(role)}


def test_every_lock_file_of_the_dockerfile_is_looked_at() -> None:
    used = re.findall(r"requirements/([a-z-]+)\.lock", (ROOT / "infra" / "docker" / "Dockerfile").read_text("utf-8"))
    assert set(used) == set(IMAGES)


def test_no_copyleft_enters_an_image_unseen() -> None:
    copyleft = {package for package, licence in read_list().items() if not is_permissive(licence)}
    assert copyleft == accepted().keys()
    assert all(len(reason) > 10 for reason in accepted().values())


@pytest.mark.parametrize(
    ("expression", "permissive"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", False),
        ("BSD-3-Clause AND (Apache-2.0 OR MIT)", True),
        ("AGPL-3.0-or-later", False),
        ("LicenseRef-anything", False),
    ],
)
def test_an_expression_is_permissive_where_permissive_terms_suffice(expression: str, permissive: bool) -> None:
    assert is_permissive(expression) is permissive


def test_the_list_says_what_the_packages_say() -> None:
    compared = 0
    for package, licence in read_list().items():
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            # CUDA's, which no machine without a GPU has.
            assert package.startswith("nvidia-")
            continue
        assert licence_of(package) == licence, package
        compared += 1
    assert compared > 100


@pytest.mark.parametrize("role", IMAGES)
def test_every_package_has_a_hash(role: str) -> None:
    text = (REQUIREMENTS / f"{role}.lock").read_text("utf-8")
    for entry in re.split(r"\n(?=[a-z])", text):
        if "==" in entry:
            assert "--hash=sha256:" in entry, entry.partition("==")[0]


@pytest.mark.skipif(not CYCLONEDX.is_file(), reason="cyclonedx-py is not installed; `make policy` does")
def test_a_bill_of_materials_lists_every_package_with_version_hash_and_licence(tmp_path: Path) -> None:
    write_sbom(CYCLONEDX, "predictor", tmp_path / "bill.json")
    bill = json.loads((tmp_path / "bill.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert {component["name"]: component["version"] for component in bill["components"]} == locked("predictor")
    for component in bill["components"]:
        assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"
        assert component["licenses"]
        assert any(reference.get("hashes") for reference in component["externalReferences"])
