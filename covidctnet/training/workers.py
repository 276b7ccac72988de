"""Several machines that train one network together, told of each other by TF_CONFIG.

A Kubeflow TrainJob starts the same command on every node; no policy of it writes TensorFlow's variable, so it
is built here from what an indexed job gives each pod. Source: TensorFlow, "Multi-worker training", TF_CONFIG.
"""

import json
import os
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from covidctnet.errors import ConfigError

PORT = 2222
"""Where a worker listens for the others where its address names no port."""


def describe_workers(addresses: str, index: str, *, port: int = PORT) -> dict[str, object]:
    """The content of TF_CONFIG for one of several workers.

    Args:
        addresses: of all workers in the same order everywhere, `host` or `host:port`, with commas between.
        index: place of this one among them, from 0.
        port: of the addresses that name none.

    Raises:
        ConfigError: there is no address, one stands twice, or the index is not one of theirs.
    """
    hosts = [part.strip() for part in addresses.split(",") if part.strip()]
    full = [host if ":" in host else f"{host}:{port}" for host in hosts]
    if not full or len(set(full)) < len(full):
        raise ConfigError(f"workers must be different addresses with commas between, not {addresses!r}")
    if not index.isdecimal() or int(index) >= len(full):
        raise ConfigError(
            f"the index of one of {len(full)} workers must lie between 0 and {len(full) - 1}, not {index!r}"
        )
    return {"cluster": {"worker": full}, "task": {"type": "worker", "index": int(index)}}


def join_workers(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set TF_CONFIG from COVIDCTNET_WORKERS and JOB_COMPLETION_INDEX; call it before TensorFlow is loaded.

    Without COVIDCTNET_WORKERS, or with TF_CONFIG set by somebody else, nothing changes.

    Raises:
        ConfigError: the two variables contradict each other.
    """
    addresses = environment.get("COVIDCTNET_WORKERS", "")
    if addresses and "TF_CONFIG" not in environment:
        described = describe_workers(addresses, environment.get("JOB_COMPLETION_INDEX", ""))
        environment["TF_CONFIG"] = json.dumps(described)


def count_workers(environment: Mapping[str, str] = os.environ) -> int:
    """How many machines train together; 1 where TF_CONFIG is not set."""
    return len(_config(environment).cluster.get("worker", ())) or 1


def is_chief(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this machine writes what all of them have made: the first worker, or the only one."""
    return int(_config(environment).task.get("index", 0)) == 0


@dataclass(frozen=True, kw_only=True)
class _Config:
    cluster: Mapping[str, Sequence[str]]
    task: Mapping[str, str | int]


def _config(environment: Mapping[str, str]) -> _Config:
    text = environment.get("TF_CONFIG", "{}")
    try:
        values = json.loads(text)
        return _Config(cluster=values.get("cluster", {}), task=values.get("task", {}))
    except (ValueError, AttributeError):
        raise ConfigError(f"TF_CONFIG must be a JSON object, not {text!r}") from None
