"""Rules of the house that no linter knows."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("cli", "components", "covidctnet", "infra", "integrations", "pipelines", "serving")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(ast.parse(text))


def normalised(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match
    return re.sub(r"[-_.]+", "-", match.group()).lower()


@pytest.mark.parametrize("role", ["train", "pipeline", "serve", "transformer", "dev"])
def test_a_lock_holds_its_roles_requirements_with_hashes_and_no_address(role: str) -> None:
    text = (ROOT / "requirements" / f"{role}.lock").read_text()
    assert "://" not in text
    pins = re.split(r"\n(?=[a-z0-9])", "\n" + text)
    names = {normalised(pin.strip()) for pin in pins if pin.strip()}
    assert all("--hash=sha256:" in pin for pin in pins if pin.strip())
    extras = PROJECT["optional-dependencies"]
    wanted = [
        *PROJECT["dependencies"],
        *(name for group in ([role] if role != "dev" else extras) for name in extras[group]),
    ]
    # A role may hold another one: `covidctnet[transformer]`.
    assert {normalised(name) for name in wanted} - {"covidctnet"} <= names


def test_a_package_has_one_version_in_all_roles() -> None:
    versions: dict[str, set[str]] = {}
    for role in ("train", "pipeline", "serve", "transformer", "predictor", "tracking", "train-gpu", "serve-gpu", "dev"):
        for name, version in re.findall(
            r"^([a-z0-9._-]+)==(\S+)", (ROOT / f"requirements/{role}.lock").read_text(), re.M
        ):
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_the_tracked_tree_is_clean() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    result = subprocess.run(["python3", ".ci/check_tree.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_links_of_the_documentation_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
