from covidctnet.thin_dicom import read_volume
