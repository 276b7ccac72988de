"""A CycloneDX bill of materials of each image's lock file: `python -m infra.sbom CYCLONEDX-PY FOLDER`.

`cyclonedx-py` lists packages, versions, purls and hashes; a lock file knows no licences, so those of
requirements/licences.csv are added.
"""

import json
import subprocess
import sys
from pathlib import Path

from infra.licences import IMAGES, REQUIREMENTS, locked, read_list


def write_sbom(tool: Path, role: str, output: Path) -> None:
    """Write the bill of one role, validated against CycloneDX's schema.

    Args:
        tool: `cyclonedx-py`.
        role: name of a lock file.
        output: a JSON file.
    """
    lock = REQUIREMENTS / f"{role}.lock"
    command = [str(tool), "requirements", str(lock), "--sv", "1.6", "--of", "JSON", "--output-reproducible", "-o", "-"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    bill, licences = json.loads(told), read_list()
    bill["metadata"]["component"] = {"type": "container", "name": f"covidctnet-{role}", "bom-ref": f"covidctnet-{role}"}
    for component in bill["components"]:
        component["licenses"] = [{"expression": licences[component["name"]]}]
    if role == "transformer":
        bill["components"].append(_messages())
    output.write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n", "utf-8")


def _messages() -> dict[str, object]:
    """What the Dockerfile takes out of TensorFlow for the transformer, and no lock file of its own names."""
    version = locked("predictor")["tensorflow"]
    return {
        "type": "library",
        "bom-ref": "tensorflow-messages",
        "name": "tensorflow",
        "version": version,
        "description": "message definitions alone (*_pb2.py)",
        "purl": f"pkg:pypi/tensorflow@{version}",
        "licenses": [{"expression": read_list()["tensorflow"]}],
    }


def main(arguments: list[str]) -> int:
    """Write the bills of all images."""
    folder = Path(arguments[1])
    folder.mkdir(parents=True, exist_ok=True)
    for role in IMAGES:
        write_sbom(Path(arguments[0]), role, folder / f"{role}.cdx.json")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
