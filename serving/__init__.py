"""The KServe transformer, the embedded predictor and their entry points."""
