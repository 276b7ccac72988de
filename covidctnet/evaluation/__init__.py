"""What a hold-out says: metrics with intervals by patient, calibration, baselines, residual contrast."""
