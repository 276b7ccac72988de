"""`python -m serving.predictor`: flags as TensorFlow Serving has them."""

import argparse
import sys
from pathlib import Path

from covidctnet.errors import CovidCTNetError
from serving.lifetime import stop_with_parent
from serving.settings import load_settings
from serving.telemetry.logs import configure_logs, quiet_tensorflow


def main() -> None:
    """Serve a model's version folders over gRPC."""
    parser = argparse.ArgumentParser(prog="serving.predictor", description=__doc__, allow_abbrev=False)
    parser.add_argument("--model_name", default="covidctnet")
    parser.add_argument("--model_base_path", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8500, help="0 for a free one")
    parser.add_argument("--settings", type=Path, default=None)
    arguments = parser.parse_args()
    configure_logs()
    stop_with_parent()
    quiet_tensorflow()
    from serving.predictor.server import serve_models

    try:
        serve_models(
            name=arguments.model_name,
            base_path=arguments.model_base_path,
            host=arguments.host,
            port=arguments.port,
            settings=load_settings(arguments.settings).predictor,
        )
    except (CovidCTNetError, OSError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(3)


if __name__ == "__main__":
    main()
