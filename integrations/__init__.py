"""The only places that talk to DVC, S3, MLflow, Great Expectations and the Kubernetes API."""

from covidctnet.telemetry import switch_off_telemetry

# Before any of them is imported.
switch_off_telemetry()
