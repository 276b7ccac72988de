"""Options that the commands of `covidctnet model` share."""

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from covidctnet.promotion.log import PromotionLog
    from integrations.tracking_client import TrackingSettings

LogPlace = Annotated[
    str,
    typer.Option("--log", envvar="COVIDCTNET_PROMOTION_LOG", help="Promotion log: SQLite file or s3://BUCKET/PREFIX."),
]
HeadPlace = Annotated[
    str,
    typer.Option("--heads", envvar="COVIDCTNET_PROMOTION_HEADS", help="Second place, for the log's signed heads."),
]
Key = Annotated[
    Path, typer.Option("--key", envvar="COVIDCTNET_PROMOTION_KEY", help="Private key, for moves; made by `model key`.")
]
PublicKey = Annotated[
    Path | None,
    typer.Option("--public-key", envvar="COVIDCTNET_PROMOTION_PUBLIC_KEY", help="Where it is not beside --key."),
]
Tracking = Annotated[
    str, typer.Option("--tracking", envvar="MLFLOW_TRACKING_URI", help="MLflow: server or sqlite:///FILE.")
]
Model = Annotated[str, typer.Option("--model", help="Name of the registered model.")]
PolicyName = Annotated[
    str, typer.Option("--policy", envvar="COVIDCTNET_PROMOTION_POLICY", help="Policy in force: a name, or a YAML file.")
]
Why = Annotated[str, typer.Option("--why", help="Reason, for the log.")]
Who = Annotated[
    str,
    typer.Option(
        "--who", envvar="COVIDCTNET_PROMOTION_WHO", help="Who decides; the user of this machine if not given."
    ),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

LOG, HEADS, KEY = "promotion/log.db", "promotion-heads/heads.db", Path("promotion-key/key.pem")


def open_promotion_log(log: str, heads: str, key: Path, public_key: Path | None, *, writable: bool) -> "PromotionLog":
    """The log that the options name."""
    from integrations.aliases import PromotionSettings, open_log

    settings = PromotionSettings(log=log, heads=heads, key=str(key), public_key=str(public_key or ""))
    return open_log(settings, writable=writable)


def tracking_settings(uri: str, model: str) -> "TrackingSettings | None":
    """Where MLflow is; None where the options name none."""
    if not uri:
        return None
    from integrations.tracking_client import TrackingSettings

    return TrackingSettings(uri=uri, model=model)


def person(who: str) -> str:
    """Who moves an alias."""
    if who:
        return who
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
