"""One thin Kubeflow component a file: its signature, imports and one call."""
