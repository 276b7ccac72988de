"""The manifests as `kubectl kustomize` renders them, once an overlay."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.crds import ROOT

OVERLAYS = ROOT / "infra" / "serving" / "overlays"
KUBECTL = Path(sys.executable).with_name("kubectl")


@dataclass(frozen=True)
class Rendered:
    """An overlay's objects."""

    overlay: str
    objects: list[dict[str, Any]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind."""
        return [item for item in self.objects if item["kind"] == kind]

    def one(self, kind: str) -> dict[str, Any]:
        """The only object of a kind."""
        (found,) = self.of(kind)
        return found

    @property
    def transformer(self) -> dict[str, Any]:
        """The transformer's pod, with what KServe adds to a pod."""
        spec: dict[str, Any] = self.one("InferenceService")["spec"]["transformer"]
        return spec

    @property
    def predictor(self) -> dict[str, Any]:
        """The predictor's pod as KServe puts it together: the runtime's, and what the service says on top."""
        service = self.one("InferenceService")["spec"]["predictor"]
        runtime = self.one("ServingRuntime")["spec"]
        (container,) = runtime["containers"]
        return {
            **service,
            "containers": [container | {"resources": service["model"]["resources"]}],
            "volumes": runtime["volumes"] + service.get("volumes", []),
        }

    @property
    def pods(self) -> dict[str, dict[str, Any]]:
        """Both pods by component."""
        return {"transformer": self.transformer, "predictor": self.predictor}

    @property
    def settings(self) -> str:
        """The serving settings that the transformer gets."""
        text: str = self.one("ConfigMap")["data"]["settings.yaml"]
        return text


def render(folder: Path) -> list[dict[str, Any]]:
    """The objects of a kustomization."""
    command = [str(KUBECTL), "kustomize", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return [item for item in yaml.load_all(result.stdout, Loader=yaml.CSafeLoader) if item]


@pytest.fixture(scope="session", params=sorted(path.name for path in OVERLAYS.iterdir()))
def rendered(request: pytest.FixtureRequest) -> Rendered:
    return Rendered(request.param, render(OVERLAYS / request.param))
