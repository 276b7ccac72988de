export { NVImage, Niivue, SLICE_TYPE } from '@niivue/niivue'
export { unzipSync } from 'fflate'
export { readHeader, readImage } from 'nifti-reader-js'
