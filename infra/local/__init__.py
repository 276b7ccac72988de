"""PostgreSQL, SeaweedFS and an MLflow server on loopback, from PyPI and Debian packages."""
