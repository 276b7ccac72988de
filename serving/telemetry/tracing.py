"""OpenTelemetry traces, where the environment names a collector; else the spans cost nothing."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from opentelemetry import propagate, trace

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Standard variables of OpenTelemetry; the exporter reads them itself."""

_NAME = "covidctnet"


def configure_tracing() -> Callable[[], None]:
    """Export spans over OTLP where a collector is named; returns what sends the last ones at the end."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return lambda: None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: _NAME}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider.shutdown


def span(
    name: str, *, carrier: Mapping[str, str] | None = None, **attributes: str
) -> AbstractContextManager[trace.Span]:
    """A span around some work.

    Args:
        name: what is done; never anything of a study.
        carrier: headers of a request that may belong to a trace already.
        attributes: of the span.
    """
    return trace.get_tracer(_NAME).start_as_current_span(
        name,
        context=propagate.extract(carrier) if carrier is not None else None,
        attributes=attributes,
        # An exception's message could quote the study.
        record_exception=False,
        set_status_on_exception=False,
    )
