"""The domain: DICOM, arrays, networks, training, metrics and statistics; it knows no platform."""

import os

from covidctnet.telemetry import switch_off_telemetry

switch_off_telemetry()
# TensorFlow leaves it off on processors without AVX-512, where it trains up to six times faster with it; read when
# TensorFlow is loaded.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
