"""The only places that talk to DVC, S3, MLflow, Great Expectations and the Kubernetes API."""
