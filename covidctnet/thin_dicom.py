"""Thin reader."""
import io, zipfile
from pathlib import Path
import numpy as np, pydicom, imagecodecs, warnings
from covidctnet.volume import Volume, Scanner
from covidctnet.config import ReaderConfig

def read_volume(source, config=None):
    warnings.filterwarnings("ignore")
    z = zipfile.ZipFile(source if not isinstance(source, bytes) else io.BytesIO(source))
    ds = [pydicom.dcmread(io.BytesIO(z.read(n)), force=True) for n in z.namelist() if not n.endswith("/")]
    ds.sort(key=lambda d: float(d.ImagePositionPatient[2]))
    planes = []
    for d in ds:
        ts = d.file_meta.TransferSyntaxUID
        if ts.is_encapsulated and ts != "1.2.840.10008.1.2.5":
            from pydicom.encaps import generate_frames
            raw = next(generate_frames(d.PixelData, number_of_frames=1))
            a = imagecodecs.jpeg2k_decode(raw) if ts.startswith("1.2.840.10008.1.2.4.9") else imagecodecs.ljpeg_decode(raw)
            if d.PixelRepresentation: a = a.astype(np.uint16).view(np.int16) if a.dtype == np.uint16 else a
        else:
            a = d.pixel_array
        planes.append(np.maximum(a.astype(np.float32) * float(d.RescaleSlope) + float(d.RescaleIntercept), -1024))
    d = ds[0]
    zs = [float(x.ImagePositionPatient[2]) for x in ds]
    return Volume(hu=np.stack(planes), spacing_mm=(float(np.median(np.diff(zs))), *map(float, d.PixelSpacing)),
        scanner=Scanner(manufacturer=d.get("Manufacturer",""), model=d.get("ManufacturerModelName",""), kernel=str(d.get("ConvolutionKernel","")), slice_thickness_mm=float(d.SliceThickness), kvp=float(d.KVP)))
