"""A phantom cohort: real DICOM series of synthetic chests, with the truth beside.

Anatomy (`anatomy`, `vessels`) -> infection (`infections`) -> acquisition by one of several scanners
(`scanners`) -> DICOM files in a zip (`dicom_writer`); `make_phantom_cohort` writes a whole cohort.
Phantoms prove that the method works, never that it is clinically right.
"""
