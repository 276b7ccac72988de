"""The embedded predictor: TensorFlow Serving's gRPC calls on the same SavedModel folders, where it is not installed."""
