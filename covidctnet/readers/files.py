"""Names of the files of a reader study."""

READERS_FILE = "readers.csv"
"""Beside a cohort: what each reader answered."""

CLOUDS, SCORES = "clouds.json", "scores.json"
"""Beside the result: what the report turns; and for machines `about` the study, and by rater and metric value and
bounds."""
