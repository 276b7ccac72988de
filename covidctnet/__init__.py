"""The domain: DICOM, arrays, networks, training, metrics and statistics; it knows no platform."""
