"""`covidctnet doctor`: what is installed and what this machine offers."""

import importlib.util
import json
from typing import Annotated

import typer

from cli.console import load_libraries, out, print_json, table


def doctor(
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    gpu: Annotated[bool, typer.Option(help="Ask TensorFlow for GPUs, which takes seconds.")] = True,
) -> None:
    """Say what is installed, which backends, cores, memory and GPU there are."""
    from covidctnet.machine import describe_machine

    if gpu and importlib.util.find_spec("tensorflow") is not None:
        load_libraries()
    facts = describe_machine(probe_gpu=gpu)
    if json_output:
        print_json(json.dumps(facts, indent=2))
        return
    memory = facts["memory_gib"]
    rows = [
        ("code version", facts["code_version"]),
        ("Python", facts["python"]),
        *((name, version or "not installed") for name, version in facts["packages"].items()),
        ("Keras backends", ", ".join(facts["backends"]) or "none: install a role's lock file"),
        ("denoiser backends", ", ".join(facts["denoiser_backends"]) or "none: install a role's lock file"),
        ("cores", facts["cores"]),
        ("memory", f"{memory['available']} of {memory['total']} GiB free"),
        ("GPU", ", ".join(facts["gpus"]) or ("driver, but none seen" if facts["gpu_driver"] else "none")),
    ]
    out.print(table("covidctnet doctor", ("", "found"), rows))
