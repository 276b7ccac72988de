"""The training pipeline: one call an arrow of the data flow."""
