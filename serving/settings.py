"""Limits and times of the servers: one frozen dataclass, from a YAML file or the defaults, checked at once."""

from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from covidctnet.errors import ConfigError
from covidctnet.yaml_values import check_values, parse_mapping

_STRICT = ConfigDict(extra="forbid")

Seconds = Annotated[float, Field(gt=0.0, le=3600.0)]
Bytes = Annotated[int, Field(ge=1_000_000, le=2**31 - 1)]
Few = Annotated[int, Field(ge=1, le=1000)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class PredictorSettings:
    """The embedded predictor, and how the transformer calls any predictor.

    A call is tried `attempts` times, after waits that double from `backoff_seconds` up to
    `max_backoff_seconds`, and never beyond the request's own deadline.
    """

    max_message_bytes: Bytes = 64_000_000
    version_poll_seconds: Seconds = 2.0
    drain_seconds: Seconds = 10.0
    connect_seconds: Seconds = 5.0
    call_seconds: Seconds = 30.0
    attempts: Few = 5
    backoff_seconds: Seconds = 0.2
    max_backoff_seconds: Seconds = 2.0
    keepalive_seconds: Seconds = 30.0
    status_poll_seconds: Seconds = 1.0
    status_seconds: Seconds = 5.0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class UploadSettings:
    """What a request may bring: bounds hold whatever the request claims.

    A zip is refused that expands more than `max_expansion` times and beyond `free_expansion_bytes`. Bodies go to disk,
    but JSON and gRPC messages are held in memory, a few times over: hence `max_json_bytes` and `max_grpc_bytes`.
    """

    max_body_bytes: Bytes = 1_000_000_000
    max_json_bytes: Bytes = 300_000_000
    max_grpc_bytes: Bytes = 300_000_000
    max_voxels: Annotated[int, Field(ge=1_000_000, le=2**32)] = 400_000_000
    max_expanded_bytes: Annotated[int, Field(ge=1_000_000, le=16_000_000_000)] = 2_000_000_000
    max_expansion: Annotated[float, Field(ge=2.0, le=1100.0)] = 100.0
    free_expansion_bytes: Annotated[int, Field(ge=0, le=2_000_000_000)] = 100_000_000
    max_files: Annotated[int, Field(ge=1, le=50_000)] = 5000
    max_studies: Few = 8
    max_uploads: Few = 16
    seconds: Seconds = 120.0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class AdmissionSettings:
    """How many studies are worked on at once and how many wait; the next one is answered 429.

    A gRPC connection takes no new calls after `grpc_connection_seconds`, so that its client finds a newer server.
    """

    workers: Few = 2
    queue: Annotated[int, Field(ge=0, le=1000)] = 8
    request_seconds: Seconds = 300.0
    drain_seconds: Seconds = 60.0
    grpc_connection_seconds: Seconds = 60.0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class FollowSettings:
    """How `covidctnet serve --follow` watches an alias.

    A pair that fails to start or to rehearse within `rehearse_seconds` is tried again after `retry_seconds`, then
    twice as long each time, up to `max_retry_seconds`.
    """

    poll_seconds: Seconds = 10.0
    rehearse_seconds: Seconds = 120.0
    retry_seconds: Seconds = 60.0
    max_retry_seconds: Seconds = 1800.0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class FetchSettings:
    """From where studies may be fetched that a v1 instance names by `url`; nowhere where both are empty.

    `s3_buckets` are names of buckets, for `s3://bucket/key`, asked at `s3_endpoint` or else where the
    environment says; `dicomweb` are the beginnings of addresses, for instance `https://pacs.example/dicom-web/`.
    """

    s3_buckets: tuple[str, ...] = ()
    s3_endpoint: str | None = None
    dicomweb: tuple[Annotated[str, Field(pattern=r"^https?://[^/@?#]+/([^@?#]*/)?$")], ...] = ()
    seconds: Seconds = 120.0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TelemetrySettings:
    """When the latest `drift_window` studies have drifted away from training.

    Nothing is told below `drift_minimum` studies. The population stability index counts as moderate or major drift
    from the limits of N. Siddiqi (Credit Risk Scorecards, 2006) on, and only above what chance explains with a
    probability of `drift_confidence`. `log_answers` logs label and probabilities of each answer under its request id,
    for the comparison of two pairs in a roll-out.
    """

    drift_window: Annotated[int, Field(ge=10, le=100_000)] = 200
    drift_minimum: Annotated[int, Field(ge=10, le=100_000)] = 30
    drift_moderate: Annotated[float, Field(gt=0.0, le=10.0)] = 0.1
    drift_major: Annotated[float, Field(gt=0.0, le=10.0)] = 0.25
    drift_confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.999
    log_answers: bool = False

    def __post_init__(self) -> None:
        if self.drift_minimum > self.drift_window:
            raise ValueError(f"drift_minimum ({self.drift_minimum}) must be <= drift_window ({self.drift_window})")
        if self.drift_moderate >= self.drift_major:
            raise ValueError(f"drift_moderate ({self.drift_moderate}) must be < drift_major ({self.drift_major})")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ServingSettings:
    """Everything that the two serving processes may be told beyond addresses."""

    predictor: PredictorSettings = field(default_factory=PredictorSettings)
    upload: UploadSettings = field(default_factory=UploadSettings)
    admission: AdmissionSettings = field(default_factory=AdmissionSettings)
    fetch: FetchSettings = field(default_factory=FetchSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    follow: FollowSettings = field(default_factory=FollowSettings)


def load_settings(path: Path | None) -> ServingSettings:
    """Settings from a YAML file; the defaults where there is none.

    Raises:
        ConfigError: the file cannot be read, or names every field that is unknown or out of range.
    """
    if path is None:
        return ServingSettings()
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the serving settings cannot be read ({type(error).__name__})") from None
    return check_values(ServingSettings, parse_mapping(text, "the file of serving settings"), "serving settings")
