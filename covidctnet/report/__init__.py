"""One self-contained HTML report of an experiment, and its figures."""
