"""Kubeflow components, one thin file a step of the data flow."""
