"""Compile a pipeline to the file that Kubeflow takes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.settings import PipelineSettings


def compile_pipeline(
    settings: PipelineSettings, output: Path, *, build: Callable[[PipelineSettings], Any] | None = None
) -> Path:
    """Write the compiled pipeline; the file is complete or as it was.

    Args:
        settings: with images that are pinned by digest.
        output: a YAML file.
        build: makes the pipeline; the training pipeline when None.

    Raises:
        ConfigError: an image is not pinned, or the output is no YAML file.
    """
    from kfp import compiler

    from covidctnet.errors import ConfigError
    from pipelines.training import build_pipeline

    settings.require_pinned_images()
    if output.suffix not in {".yaml", ".yml"}:
        raise ConfigError(f"the output must end in .yaml, not {output.suffix or 'nothing'!r}")
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.stem}.partial.yaml")
    compiler.Compiler().compile((build or build_pipeline)(settings), str(partial))
    os.replace(partial, output)
    return output
