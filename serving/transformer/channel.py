"""How every call to a predictor is made: kept-alive channels to all that its name leads to, quick to come back."""

from typing import Any

from serving.settings import PredictorSettings


def channel_options(settings: PredictorSettings) -> list[tuple[str, Any]]:
    """Options of a gRPC channel to predictors: calls go to each address of the name in turn (ADR 0016)."""
    milliseconds = int(1000 * settings.keepalive_seconds)
    return [
        ("grpc.lb_policy_name", "round_robin"),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.keepalive_time_ms", milliseconds),
        ("grpc.keepalive_timeout_ms", milliseconds // 3),
        ("grpc.initial_reconnect_backoff_ms", int(1000 * settings.backoff_seconds)),
        # By this name gRPC bounds the time that connecting may take, not the pause before it.
        ("grpc.min_reconnect_backoff_ms", int(1000 * settings.connect_seconds)),
        ("grpc.max_reconnect_backoff_ms", int(1000 * settings.max_backoff_seconds)),
    ]
