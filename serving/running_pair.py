"""A transformer and its embedded predictor as processes of this machine: started, watched, stopped together."""

import logging
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from covidctnet.bundle import Bundle, load_bundle
from serving.child import Child, ServingStoppedError

_LOG = logging.getLogger(__name__)
_RESTARTS_APART_SECONDS = 60.0
_MAX_RESTARTS = 5


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What `covidctnet serve` was told.

    Attributes:
        model: name under which clients ask for it.
        host: address that the transformer listens on.
        port, grpc_port: HTTP and gRPC ports of the transformer, 0 for free ones.
        tokens: file of hashed bearer tokens; None where no token is asked for.
        settings: YAML file of the serving settings; the defaults when None.
    """

    model: str = "covidctnet"
    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int = 8081
    tokens: Path | None = None
    settings: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Where the transformer of a pair listens, and how it is made sure that it can answer.

    Attributes:
        host: address to listen on.
        port, grpc_port: 0 for free ones.
        rehearse_seconds: how long a made-up study may take before it listens; 0 for none.
    """

    host: str
    port: int = 0
    grpc_port: int = 0
    rehearse_seconds: float = 0.0


class RunningPair:
    """The two processes of one bundle.

    They serve a copy of the bundle that nobody else writes to: training replaces a bundle's folder in place, and a
    predictor that is started again would else load the new classifier under the version of the old pair.

    Args:
        options: what `covidctnet serve` was told.
        bundle: folder of the bundle.
        place: a new folder for the copy and for uploads.

    Raises:
        BundleError: it is no intact bundle.
    """

    def __init__(self, options: ServeOptions, bundle: Path, place: Path) -> None:
        self._options, self.place = options, place
        place.mkdir(parents=True)
        self.bundle = take(bundle, place / "bundle")
        self.ports: dict[str, int] = {}
        self._children: dict[str, Child] = {}
        self._restarts: list[float] = []
        self._closing = threading.Lock()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by the half's name."""
        return {name: child.process.pid for name, child in self._children.items()}

    def start(self, listening: Listening, stop: threading.Event) -> None:
        """Start the predictor, then the transformer, and wait until both listen or a stop is asked for.

        Raises:
            ServingStoppedError: a process ended, or needs too long.
        """
        models = lay_out(self.bundle, self.place / "models")
        self._children["predictor"] = predictor = Child(_predictor_command(self._options, models, 0))
        port = predictor.listen(stop)["grpc"]
        self._again = _predictor_command(self._options, models, port)
        spool = self.place / "spool"
        spool.mkdir()
        command = _transformer_command(self._options, listening, self.bundle.folder, port, spool)
        self._children["transformer"] = transformer = Child(command)
        self.ports = transformer.listen(stop)

    def watch(self) -> None:
        """Start a predictor that ended again, on the same port.

        Raises:
            ServingStoppedError: the transformer ended, or the predictor does again and again.
        """
        transformer, predictor = self._children["transformer"].process, self._children["predictor"].process
        if transformer.poll() is not None:
            raise ServingStoppedError(f"the transformer ended by itself (status {transformer.poll()})")
        if predictor.poll() is None:
            return
        now = time.monotonic()
        recent = (moment for moment in self._restarts if now - moment < _RESTARTS_APART_SECONDS)
        self._restarts = [*recent, now]
        if len(self._restarts) > _MAX_RESTARTS:
            raise ServingStoppedError(f"the predictor ended {len(self._restarts)} times within a minute")
        _LOG.warning("the predictor ended and is started again")
        self._children["predictor"].stop(0.0)
        self._children["predictor"] = Child(self._again)

    def require_both(self) -> None:
        """Refuse a pair of which a half has ended.

        Raises:
            ServingStoppedError: with its name and status.
        """
        for name, child in self._children.items():
            if child.process.poll() is not None:
                raise ServingStoppedError(f"the {name} ended by itself (status {child.process.poll()})")

    def send_away(self) -> None:
        """Ask the transformer to close each client's connection with its answer."""
        self._children["transformer"].process.send_signal(signal.SIGUSR1)

    def close(self, drain_seconds: float = 0.0) -> None:
        """Stop the transformer first, whose requests need the predictor, and remove the copy.

        Args:
            drain_seconds: how long requests in flight may take.
        """
        with self._closing:
            for name, seconds in (("transformer", drain_seconds), ("predictor", 0.0)):
                if name in self._children:
                    self._children[name].stop(seconds)
            shutil.rmtree(self.place, ignore_errors=True)


def take(bundle: Path, place: Path) -> Bundle:
    """A copy of a bundle, checked.

    Raises:
        BundleError: it is no intact bundle.
    """
    load_bundle(bundle)
    shutil.copytree(bundle, place)
    return load_bundle(place)


def lay_out(bundle: Bundle, base_path: Path) -> Path:
    """A model base path as TensorFlow Serving wants it: one folder, named by the version, that is the classifier."""
    base_path.mkdir(parents=True)
    (base_path / str(bundle.serving_version)).symlink_to(bundle.classifier_path.resolve(), target_is_directory=True)
    return base_path


def _predictor_command(options: ServeOptions, models: Path, port: int) -> list[str]:
    flags = [f"--model_name={options.model}", f"--model_base_path={models}", f"--port={port}"]
    return [sys.executable, "-m", "serving.predictor", *flags, *_settings(options)]


def _transformer_command(
    options: ServeOptions, listening: Listening, bundle: Path, predictor_port: int, spool: Path
) -> list[str]:
    flags = [
        f"--bundle={bundle}",
        f"--model_name={options.model}",
        f"--predictor_host=127.0.0.1:{predictor_port}",
        f"--host={listening.host}",
        f"--http_port={listening.port}",
        f"--grpc_port={listening.grpc_port}",
        f"--spool={spool}",
        f"--rehearse_seconds={listening.rehearse_seconds}",
        "--no-auth" if options.tokens is None else f"--tokens={options.tokens}",
    ]
    return [sys.executable, "-m", "serving.transformer", *flags, *_settings(options)]


def _settings(options: ServeOptions) -> list[str]:
    return [] if options.settings is None else [f"--settings={options.settings}"]
