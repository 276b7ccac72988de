"""The viewer that is shipped is the one that the pinned packages build."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LICENCES = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "Zlib"}
SOURCES, SHIPPED = ROOT / "infra" / "viewer", ROOT / "serving" / "page" / "vendor"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return json.loads((SHIPPED / "viewer.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def lock() -> dict[str, Any]:
    return json.loads((SOURCES / "package-lock.json").read_text("utf-8"))


def test_what_is_shipped_is_what_was_built_from_these_sources(record: dict[str, Any]) -> None:
    for name in ("viewer.js", "viewer.licences.txt"):
        assert sha256(SHIPPED / name) == record[name], f"{name}: run infra/viewer/build.sh"
    for name, digest in record["builtFrom"].items():
        assert sha256(SOURCES / name) == digest, f"{name} changed: run infra/viewer/build.sh"


def test_every_package_is_pinned_by_its_hash_and_by_no_address(lock: dict[str, Any]) -> None:
    packages = {path: entry for path, entry in lock["packages"].items() if path}
    assert "node_modules/@niivue/niivue" in packages
    for path, entry in packages.items():
        assert entry["integrity"].startswith("sha512-"), path
        assert "resolved" not in entry, path
    wanted = json.loads((SOURCES / "package.json").read_text("utf-8"))
    for name, version in (wanted["dependencies"] | wanted["devDependencies"]).items():
        assert packages[f"node_modules/{name}"]["version"] == version


def test_every_bundled_package_has_its_licence_beside_it(lock: dict[str, Any]) -> None:
    text = (SHIPPED / "viewer.licences.txt").read_text("utf-8")
    titles = re.findall(r"^(@?[\w./-]+) (\d[\w.-]*) \(([^)]+)\)$", text, re.MULTILINE)
    assert {"@niivue/niivue", "fflate", "gl-matrix", "nifti-reader-js"} <= {name for name, _, _ in titles}
    for name, version, licence in titles:
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
        assert set(re.split(r" (?:AND|OR) ", licence)) <= LICENCES


def test_the_viewer_compiles_no_code_of_its_own_and_keeps_nothing() -> None:
    text = (SHIPPED / "viewer.js").read_text("utf-8")
    for word in ("eval(", "new Function(", "importScripts", "WebAssembly", "localStorage", "sessionStorage"):
        assert word not in text, word


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm: apt-get install npm")
def test_building_again_gives_the_same_bytes(tmp_path: Path, record: dict[str, Any]) -> None:
    sources = tmp_path / "viewer"
    shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns("node_modules"))
    environment = os.environ | {"HOME": str(tmp_path)}
    subprocess.run(["sh", sources / "build.sh", tmp_path / "built"], env=environment, check=True, timeout=300)
    for name in ("viewer.js", "viewer.licences.txt"):
        assert sha256(tmp_path / "built" / name) == record[name]
