"""Check Kubernetes objects against the schemas of their kinds; an unknown field is an error."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).parents[2]
CRDS = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data")).parent / "crds"


def check(manifest: dict[str, Any]) -> None:
    """Raise where a manifest does not fit its kind's schema."""
    group, version = manifest["apiVersion"].split("/")
    jsonschema.Draft7Validator(_schema(group, version, manifest["kind"])).validate(manifest)


@lru_cache(maxsize=32)
def _schema(group: str, version: str, kind: str) -> dict[str, Any]:
    for path in sorted(CRDS.glob("*.yaml")):
        text = path.read_text("utf-8")
        if f"kind: {kind}\n" not in text:
            continue
        definition = yaml.load(text, Loader=yaml.CSafeLoader)
        spec = definition["spec"]
        if (spec["group"], spec["names"]["kind"]) != (group, kind):
            continue
        for offered in spec["versions"]:
            if offered["name"] == version:
                schema: dict[str, Any] = offered["schema"]["openAPIV3Schema"]
                schema["properties"]["metadata"] = {"type": "object"}
                _close(schema)
                return schema
    raise LookupError(f"{CRDS} holds no schema of {kind} {group}/{version}")


def _close(schema: dict[str, Any]) -> None:
    """Refuse fields that the schema does not name."""
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
    properties = schema.get("properties", {})
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if properties and not open_ended:
        schema["additionalProperties"] = False
    for child in [*properties.values(), schema.get("items"), schema.get("additionalProperties")]:
        if isinstance(child, dict):
            _close(child)
