"""Talk to a Kubeflow Pipelines endpoint: submit a run, ask for its steps."""

import contextlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covidctnet.errors import ConfigError, PipelineError

if TYPE_CHECKING:
    from kfp import Client

TOKEN_VARIABLE = "KFP_TOKEN"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where Kubeflow Pipelines is, and who asks. A token may also stand in the environment, as `KFP_TOKEN`.

    Attributes:
        url: address, with http or https.
        namespace: of the profile in a multi-user deployment; empty otherwise.
        token_file: holds a bearer token.
        service_account_token_file: a projected token that Kubernetes renews; read anew for each request.
        cookie_file: holds the session cookie of a login page.
        ca_file: certificate authority of the endpoint.
    """

    url: str
    namespace: str = ""
    token_file: Path | None = None
    service_account_token_file: Path | None = None
    cookie_file: Path | None = None
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"the endpoint must start with http:// or https://, not {self.url!r}")
        given = [path for path in (self.token_file, self.service_account_token_file, self.cookie_file) if path]
        if len(given) > 1:
            raise ConfigError("give one of token, service account token and cookie, not several")
        for path in (*given, self.ca_file):
            if path is not None and not path.is_file():
                raise ConfigError("a file that the endpoint needs does not exist; check the token, cookie and CA files")


@dataclass(frozen=True, kw_only=True)
class RemoteStep:
    """A task of a run, as Kubeflow tells it."""

    step: str
    state: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class RemoteRun:
    """A run of the pipeline on a cluster."""

    run_id: str
    name: str
    state: str
    error: str
    steps: tuple[RemoteStep, ...]


def submit(
    endpoint: Endpoint,
    package: Path,
    parameters: Mapping[str, Any],
    *,
    name: str,
    experiment: str = "covidctnet",
    service_account: str = "",
    pipeline_root: str = "",
) -> str:
    """Start a run of a compiled pipeline; gives its identifier.

    Args:
        endpoint: where and as whom.
        package: compiled pipeline.
        parameters: of the run.
        name: of the run.
        experiment: in which it is listed.
        service_account: of the steps' pods; the namespace's own where empty.
        pipeline_root: where the outputs go; the deployment's own where empty.

    Raises:
        PipelineError: the endpoint does not answer, or refuses.
    """
    with connect(endpoint) as client:
        run = client.create_run_from_pipeline_package(
            str(package),
            arguments=dict(parameters),
            run_name=name,
            experiment_name=experiment,
            namespace=endpoint.namespace or None,
            pipeline_root=pipeline_root or None,
            service_account=service_account or None,
        )
        return str(run.run_id)


def find_run(endpoint: Endpoint, name: str, *, experiment: str = "covidctnet") -> str:
    """Identifier of the latest run of a name; empty where there is none.

    Raises:
        PipelineError: the endpoint does not answer, or refuses.
    """
    only = {"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]}
    with connect(endpoint) as client:
        try:
            place = client.get_experiment(experiment_name=experiment, namespace=endpoint.namespace or None)
        except ValueError:
            return ""
        found = client.list_runs(
            experiment_id=place.experiment_id, sort_by="created_at desc", page_size=1, filter=json.dumps(only)
        )
    return str(found.runs[0].run_id) if found.runs else ""


def fetch_run(endpoint: Endpoint, run_id: str) -> RemoteRun:
    """State of a run and of its steps.

    Raises:
        PipelineError: the endpoint does not answer, refuses, or has no such run.
    """
    with connect(endpoint) as client:
        run = client.get_run(run_id)
    details = run.run_details.task_details if run.run_details else None
    return RemoteRun(
        run_id=str(run.run_id),
        name=str(run.display_name),
        state=str(run.state or "PENDING"),
        error=str(run.error.message) if run.error else "",
        steps=tuple(
            RemoteStep(step=str(task.display_name), state=str(task.state), seconds=_duration(task))
            for task in details or ()
        ),
    )


def _duration(task: Any) -> float:
    if task.start_time is None or task.end_time is None:
        return 0.0
    return max(0.0, round(float((task.end_time - task.start_time).total_seconds()), 1))


@contextlib.contextmanager
def connect(endpoint: Endpoint) -> Iterator["Client"]:
    """The SDK's client, once the endpoint has answered.

    Raises:
        PipelineError: the endpoint does not answer, or refuses.
    """
    import kfp_server_api
    import urllib3
    from kfp import Client

    class ImpatientClient(Client):
        # The client's own asks a silent or refusing endpoint five times, five seconds apart.
        def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
            return self._healthz_api.healthz_service_get_healthz()

    try:
        with (
            warnings.catch_warnings(),
            open(os.devnull, "w", encoding="utf-8") as nowhere,
            # The client prints links, which are none of this command's answer.
            contextlib.redirect_stdout(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield ImpatientClient(
                host=endpoint.url,
                namespace=endpoint.namespace or "kubeflow",
                existing_token=_read(endpoint.token_file) or os.environ.get(TOKEN_VARIABLE) or None,
                cookies=_read(endpoint.cookie_file),
                ssl_ca_cert=str(endpoint.ca_file) if endpoint.ca_file else None,
                credentials=_service_account(endpoint.service_account_token_file),
            )
    except kfp_server_api.ApiException as error:
        raise PipelineError(_explain(error)) from None
    except urllib3.exceptions.HTTPError as error:
        raise PipelineError(
            f"the endpoint does not answer: {type(error).__name__}; check address and network"
        ) from None


def _explain(error: Any) -> str:
    reasons = {
        401: "the endpoint does not accept the credentials; give a valid token or cookie",
        403: "the endpoint does not allow this; ask for the right to run pipelines in the namespace",
        404: "the endpoint has no such run or experiment",
    }
    return reasons.get(error.status, f"the endpoint refused with status {error.status}: {error.reason}")


def _service_account(path: Path | None) -> Any:
    if path is None:
        return None
    from kfp.client import ServiceAccountTokenVolumeCredentials

    return ServiceAccountTokenVolumeCredentials(path=str(path))


def _read(path: Path | None) -> str | None:
    return path.read_text("utf-8").strip() if path else None
