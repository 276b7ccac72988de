"""Outputs of all shards -> one output, which a loop can take."""

from typing import List  # noqa: UP035

from kfp.dsl import Dataset, Input, Output

from components.base import component


@component()
def join_shards(
    parts: Input[List[Dataset]],  # noqa: UP006
    joined: Output[Dataset],
) -> None:
    """Put the outputs of all shards side by side; inside a loop, collected ones cannot be used.

    Args:
        parts: Of each shard.
        joined: A numbered folder a shard.
    """
    from integrations.steps import experiments

    experiments.join_shards(parts=[part.path for part in parts], output=joined.path)
