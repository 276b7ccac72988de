"""`covidctnet model receive`: MLflow's registry webhooks in, one roll-out for each promotion and each rollback."""

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from cli import deploy as rolling
from cli import model_options as options
from cli.console import err

SECRET = "COVIDCTNET_REGISTRY_WEBHOOK_SECRET"


def receive(
    certificate: Annotated[Path, typer.Option(help="Of this server, in PEM.")],
    certificate_key: Annotated[Path, typer.Option(help="Its private key, in PEM.")],
    inbox: Annotated[Path, typer.Option(help="SQLite file that keeps the deliveries.")] = Path("promotion/inbox.db"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for a free one.", min=0, max=65535)] = 8443,
    gateway: rolling.Gateway = "",
    template: rolling.Template = "cpu",
    policy: rolling.RolloutPolicy = "default",
    storage: rolling.Storage = "",
    hostname: rolling.Hostname = None,
    route: rolling.Route = "covidctnet",
    namespace: rolling.Namespace = "",
    context: rolling.Context = "",
    notify: Annotated[
        Path | None, typer.Option(envvar="COVIDCTNET_NOTIFY", help="YAML file: webhooks and mail to tell.")
    ] = None,
    log: options.LogPlace = options.LOG,
    heads: options.HeadPlace = options.HEADS,
    key: options.Key = options.KEY,
    public_key: options.PublicKey = None,
    tracking: options.Tracking = "",
    model: options.Model = "covidctnet",
) -> None:
    """Roll out each champion that the registry tells of and the promotion log confirms, until SIGTERM.

    The webhook's secret stands in COVIDCTNET_REGISTRY_WEBHOOK_SECRET; two, divided by a comma, while it is replaced.
    """
    from covidctnet.rollout.policy import load_rollout_policy
    from integrations.aliases_mlflow import is_confirmed
    from integrations.notifications import load_notifications
    from integrations.registry_webhook import RegistryWebhook, WebhookSettings
    from integrations.rollout.deploy import DeploySettings, open_site
    from integrations.rollout.on_promotion import roll_out_promoted, tell_ending
    from integrations.webhook_inbox import Inbox
    from integrations.webhook_server import serve_webhook

    registry = options.tracking_settings(tracking, model)
    if registry is None:
        raise typer.BadParameter("say where the registry is with --tracking")
    rolling.require_gateway(gateway)
    site = DeploySettings(
        gateway=gateway,
        template=template,
        policy=policy,
        namespace=namespace,
        context=context,
        hostnames=tuple(hostname or ()),
        route=route,
        storage=storage,
    )
    # Whatever is wrong with them is told now, and not at the first promotion.
    load_rollout_policy(site.policy)
    open_site(site)
    opened, told = (
        options.open_promotion_log(log, heads, key, public_key, writable=False),
        load_notifications(notify),
    )
    secrets = [secret for secret in os.environ.get(SECRET, "").split(",") if secret]
    webhook = RegistryWebhook(
        WebhookSettings(secrets=secrets, model=model),
        Inbox(inbox),
        roll_out=lambda version, pause: roll_out_promoted(version, pause, log=opened, registry=registry, settings=site),
        confirm=lambda version: is_confirmed(version, "champion", log=opened, settings=registry),
        tell=lambda number, version, ending: tell_ending(number, version, ending, told),
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
