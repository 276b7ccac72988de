"""What each pipeline step does: folders in, folders out, with its record in MLflow.

One function a step. A component calls it with paths and plain values, and a test does the same.
"""
