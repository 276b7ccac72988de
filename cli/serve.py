"""`covidctnet serve`: transformer and predictor on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import out


def serve(
    bundle: Annotated[Path, typer.Option(help="Bundle folder that training wrote.")] = Path("runs/demo/bundle"),
    port: Annotated[int, typer.Option(help="HTTP port, 0 for a free one.", min=0, max=65535)] = 8080,
    grpc_port: Annotated[int, typer.Option(help="gRPC port, 0 for a free one.", min=0, max=65535)] = 8081,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    tokens: Annotated[Path | None, typer.Option(help="File of hashed bearer tokens, name:sha256 a line.")] = None,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Ask for no token; on loopback addresses only.")] = False,
    settings: Annotated[Path | None, typer.Option(help="YAML file of limits and times; see docs/serving.md.")] = None,
) -> None:
    """Answer for studies over HTTP and gRPC until Ctrl-C. Research use, not a medical device."""
    from serving.supervisor import Served, ServeOptions
    from serving.supervisor import serve as run
    from serving.telemetry.logs import configure_logs
    from serving.tokens import require_access

    require_access(tokens, no_auth=no_auth, host=host)
    configure_logs()

    def show(served: Served) -> None:
        out.print(f"serving pair {served.pair_id} as version {served.version}", highlight=False)
        out.print(f"studies   POST {served.http}/v1/studies", highlight=False, soft_wrap=True)
        out.print(f"KServe    POST {served.http}/v1/models/covidctnet:predict", highlight=False, soft_wrap=True)
        out.print(f"          POST {served.http}/v2/models/covidctnet/infer, gRPC {served.grpc}", highlight=False)
        out.print(f"health    GET  {served.http}/v2/health/ready", highlight=False, soft_wrap=True)
        out.print("Research use only. Not a medical device. Ctrl-C stops.", style="bold")

    options = ServeOptions(bundle=bundle, host=host, port=port, grpc_port=grpc_port, tokens=tokens, settings=settings)
    run(options, on_ready=show)
    out.print("stopped")
