"""`covidctnet model receive`: MLflow's registry webhooks in, one roll-out out for each promotion."""

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from cli import model_options as options
from cli.console import err

SECRET = "COVIDCTNET_REGISTRY_WEBHOOK_SECRET"


def receive(
    command: Annotated[list[str], typer.Argument(help="Called for each promotion; {version} becomes the version.")],
    certificate: Annotated[Path, typer.Option(help="Of this server, in PEM.")],
    certificate_key: Annotated[Path, typer.Option(help="Its private key, in PEM.")],
    inbox: Annotated[Path, typer.Option(help="SQLite file that keeps the deliveries.")] = Path("promotion/inbox.db"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for a free one.", min=0, max=65535)] = 8443,
    alias: Annotated[str, typer.Option(help="Whose changes matter.")] = "champion",
    log: options.LogPlace = options.LOG,
    heads: options.HeadPlace = options.HEADS,
    key: options.Key = options.KEY,
    public_key: options.PublicKey = None,
    tracking: options.Tracking = "",
    model: options.Model = "covidctnet",
) -> None:
    """Turn each change of an alias that the promotion log confirms into a roll-out, until SIGTERM or Ctrl-C.

    The webhook's secret stands in COVIDCTNET_REGISTRY_WEBHOOK_SECRET; two, divided by a comma, while it is replaced.
    """
    from integrations.aliases_mlflow import is_confirmed
    from integrations.registry_webhook import RegistryWebhook, WebhookSettings, run_command
    from integrations.webhook_inbox import Inbox
    from integrations.webhook_server import serve_webhook

    registry = options.tracking_settings(tracking, model)
    if registry is None:
        raise typer.BadParameter("say where the registry is with --tracking")
    opened = options.open_promotion_log(log, heads, key, public_key, writable=False)
    secrets = [secret for secret in os.environ.get(SECRET, "").split(",") if secret]
    webhook = RegistryWebhook(
        WebhookSettings(secrets=secrets, model=model, alias=alias),
        Inbox(inbox),
        roll_out=run_command(command),
        confirm=lambda version: is_confirmed(version, alias, log=opened, settings=registry),
    )

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    with serve_webhook(webhook, host=host, port=port, certificate=certificate, key=certificate_key) as listening:
        err.print(f"https://{host}:{listening}/registry", highlight=False)
        try:
            while True:
                signal.pause()
        except KeyboardInterrupt:
            err.print("stopped", highlight=False)
