"""DICOM in: sources -> files -> one series -> geometry and pixels -> Volume. `pack` writes cases."""
