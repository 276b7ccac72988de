"""`covidctnet serve`: transformer and predictor on this machine."""

import contextlib
import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cli.console import out
from cli.model import DEMO, Server, Workspace, model_uri, registry_settings
from covidctnet.errors import ConfigError


def serve(
    bundle: Annotated[
        Path | None, typer.Option(help="Bundle folder; runs/demo/bundle where no --model is given.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="Registered model instead: models:/covidctnet@champion, @champion or a version.")
    ] = "",
    follow: Annotated[str, typer.Option(help="Alias whose model is served, also after it moves: champion.")] = "",
    port: Annotated[int, typer.Option(help="HTTP port, 0 for a free one.", min=0, max=65535)] = 8080,
    grpc_port: Annotated[int, typer.Option(help="gRPC port, 0 for a free one.", min=0, max=65535)] = 8081,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    tokens: Annotated[Path | None, typer.Option(help="File of hashed bearer tokens, name:sha256 a line.")] = None,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Ask for no token; on loopback addresses only.")] = False,
    settings: Annotated[Path | None, typer.Option(help="YAML file of limits and times; see docs/serving.md.")] = None,
    workspace: Workspace = DEMO,
    server: Server = "",
) -> None:
    """Answer for studies over HTTP and gRPC until Ctrl-C. Research use, not a medical device."""
    from serving.running_pair import ServeOptions
    from serving.supervisor import Served
    from serving.supervisor import serve as run
    from serving.telemetry.logs import configure_logs
    from serving.tokens import require_access

    require_access(tokens, no_auth=no_auth, host=host)
    configure_logs()

    def show(served: Served) -> None:
        out.print(f"serving pair {served.pair_id} as version {served.version}", highlight=False)
        out.print(f"page      GET  {served.http}/", highlight=False, soft_wrap=True)
        out.print(f"studies   POST {served.http}/v1/studies", highlight=False, soft_wrap=True)
        out.print(f"KServe    POST {served.http}/v1/models/covidctnet:predict", highlight=False, soft_wrap=True)
        out.print(
            f"          POST {served.http}/v2/models/covidctnet/infer, gRPC {served.grpc}",
            highlight=False,
            soft_wrap=True,
        )
        out.print(f"health    GET  {served.http}/v2/health/ready", highlight=False, soft_wrap=True)
        out.print("Research use only. Not a medical device. Ctrl-C stops.", style="bold")

    options = ServeOptions(host=host, port=port, grpc_port=grpc_port, tokens=tokens, settings=settings)
    if follow:
        if bundle is not None or model:
            raise ConfigError("--follow names what is served; leave --bundle and --model away")
        _require_mlflow()
        from integrations.alias_source import AliasSource
        from serving.following import follow as run_following

        source = AliasSource(follow.removeprefix("@"), registry_settings(workspace, server))
        run_following(options, source, on_change=show)
    else:
        with _bundle(bundle, model, workspace, server) as folder:
            run(options, folder, on_ready=show)
    out.print("stopped")


@contextlib.contextmanager
def _bundle(bundle: Path | None, model: str, workspace: Path, server: str) -> Iterator[Path]:
    """The folder to serve; a registered model's is fetched and lives as long as it is served."""
    if bundle is not None and model:
        raise ConfigError("give either --bundle or --model")
    if not model:
        yield bundle or DEMO / "bundle"
        return
    _require_mlflow()
    from integrations.registry import fetch_bundle, find_model

    found = registry_settings(workspace, server)
    registered = find_model(model_uri(model, found), settings=found)
    uri = f"models:/{registered.name}/{registered.version}"
    with tempfile.TemporaryDirectory(prefix="covidctnet-model-") as folder:
        out.print(f"model     {uri}", highlight=False)
        yield fetch_bundle(uri, Path(folder) / "bundle", settings=found)


def _require_mlflow() -> None:
    if importlib.util.find_spec("mlflow") is None:
        raise ConfigError("MLflow is not installed here; fetch with `covidctnet model fetch` and give --bundle")
