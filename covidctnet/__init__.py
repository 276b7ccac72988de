"""The domain: DICOM, arrays, networks, training, metrics and statistics; it knows no platform."""

from covidctnet.telemetry import switch_off_telemetry

switch_off_telemetry()
