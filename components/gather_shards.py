"""Addresses of all shards -> a list to fan out over."""

from typing import List  # noqa: UP035

from components.base import component


@component()
def gather_shards(addresses: List[str]) -> list:  # noqa: UP006
    """Wait for all shards; a loop cannot run over collected values themselves.

    Args:
        addresses: Of the slices of each shard.

    Returns:
        The same.
    """
    return addresses
