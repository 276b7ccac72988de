"""`python -m serving.transformer`: the flags that KServe gives to a transformer, and the bundle."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from covidctnet.errors import CovidCTNetError
from serving.lifetime import stop_with_parent
from serving.settings import load_settings
from serving.telemetry.logs import configure_logs
from serving.tokens import require_access

_SPOOL = "covidctnet-spool-"


def main() -> None:
    """Serve studies over HTTP and gRPC; refuse a wrong start with one line."""
    arguments = _parse()
    configure_logs()
    stop_with_parent()
    if arguments.spool is not None:
        # A process that was killed could not remove its studies; the folder is this process's alone.
        for left in arguments.spool.glob(f"{_SPOOL}*"):
            shutil.rmtree(left, ignore_errors=True)
    spool = Path(tempfile.mkdtemp(prefix=_SPOOL, dir=arguments.spool))
    try:
        _serve(arguments, spool)
    except (CovidCTNetError, OSError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(3)
    finally:
        shutil.rmtree(spool, ignore_errors=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="serving.transformer", description=__doc__, allow_abbrev=False)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--model_name", default="covidctnet")
    parser.add_argument("--predictor_host", required=True, help="host:port of TensorFlow Serving's gRPC")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--http_port", type=int, default=8080, help="0 for a free one")
    parser.add_argument("--grpc_port", type=int, default=8081, help="0 for a free one")
    parser.add_argument("--tokens", type=Path, default=None, help="file of hashed bearer tokens")
    parser.add_argument("--no-auth", action="store_true", help="ask for no token; on loopback only")
    parser.add_argument("--settings", type=Path, default=None)
    parser.add_argument("--spool", type=Path, default=None, help="folder for uploads, for this process alone")
    parser.add_argument("--pair_id", default="", help="serve no other bundle than this")
    parser.add_argument("--rehearse_seconds", type=float, default=0, help="answer for a made-up study before listening")
    return parser.parse_args()


def _serve(arguments: argparse.Namespace, spool: Path) -> None:
    tokens = require_access(arguments.tokens, no_auth=arguments.no_auth, host=arguments.host)
    settings = load_settings(arguments.settings)
    from serving.transformer.server import Addresses, serve_transformer

    addresses = Addresses(
        host=arguments.host,
        http_port=arguments.http_port,
        grpc_port=arguments.grpc_port,
        predictor=arguments.predictor_host,
        model=arguments.model_name,
    )
    serve_transformer(
        arguments.bundle,
        addresses,
        settings=settings,
        tokens=tokens,
        spool=spool,
        pair_id=arguments.pair_id,
        rehearse_seconds=arguments.rehearse_seconds,
    )


if __name__ == "__main__":
    main()
