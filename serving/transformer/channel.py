"""How every call to the predictor is made: one kept-alive channel, quick to come back after a restart."""

from typing import Any

from serving.settings import PredictorSettings


def channel_options(settings: PredictorSettings) -> list[tuple[str, Any]]:
    """Options of a gRPC channel to a predictor."""
    milliseconds = int(1000 * settings.keepalive_seconds)
    return [
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.keepalive_time_ms", milliseconds),
        ("grpc.keepalive_timeout_ms", milliseconds // 3),
        ("grpc.initial_reconnect_backoff_ms", int(1000 * settings.backoff_seconds)),
        # By this name gRPC bounds the time that connecting may take, not the pause before it.
        ("grpc.min_reconnect_backoff_ms", int(1000 * settings.connect_seconds)),
        ("grpc.max_reconnect_backoff_ms", int(1000 * settings.max_backoff_seconds)),
    ]
