"""The only places that talk to DVC, S3, MLflow, Great Expectations and the Kubernetes API."""

from integrations.telemetry import switch_off_telemetry

switch_off_telemetry()
