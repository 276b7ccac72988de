"""The platform's overlays, rendered once each, with every pod that they hold."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.helpers.crds import ROOT
from tests.infra.serving.conftest import Rendered, render

OVERLAYS = ROOT / "infra" / "overlays"


@dataclass(frozen=True)
class Pod:
    """A pod's specification, and what makes it."""

    owner: str
    namespace: str
    spec: dict[str, Any]

    @property
    def containers(self) -> list[dict[str, Any]]:
        """All of them."""
        return [*self.spec["containers"], *self.spec.get("initContainers", [])]


@dataclass(frozen=True)
class Platform(Rendered):
    """An overlay's objects with their pods."""

    def workloads(self) -> Iterator[Pod]:
        """Every pod of every kind that makes pods."""
        for item in self.objects:
            kind, spec = item["kind"], item.get("spec", {})
            if kind in {"Deployment", "StatefulSet"}:
                yield _pod(item, spec["template"]["spec"])
            elif kind == "CronJob":
                yield _pod(item, spec["jobTemplate"]["spec"]["template"]["spec"])
            elif kind == "TrainingRuntime":
                for job in spec["template"]["spec"]["replicatedJobs"]:
                    yield _pod(item, job["template"]["spec"]["template"]["spec"])
            elif kind == "InferenceService":
                for component, pod in self.pods.items():
                    yield Pod(f"{kind} {component}", item["metadata"]["namespace"], pod)

    def namespaces(self) -> list[str]:
        """Names of the namespaces that the overlay makes."""
        return [item["metadata"]["name"] for item in self.of("Namespace")]

    def within(self, kind: str, namespace: str) -> list[dict[str, Any]]:
        """Objects of a kind in a namespace."""
        return [item for item in self.of(kind) if item["metadata"]["namespace"] == namespace]


def _pod(item: dict[str, Any], spec: dict[str, Any]) -> Pod:
    return Pod(f"{item['kind']} {item['metadata']['name']}", item["metadata"]["namespace"], spec)


@pytest.fixture(scope="session", params=sorted(path.name for path in OVERLAYS.iterdir()))
def platform(request: pytest.FixtureRequest) -> Platform:
    return Platform(request.param, render(OVERLAYS / request.param))
