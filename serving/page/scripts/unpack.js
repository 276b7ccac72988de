// The server's zip: the answer, its report, the CT, and the residual and the marks on the CT's grid.

import { readHeader, readImage, unzipSync } from '../vendor/viewer.js'

/** Arrays for NIfTI's codes of plain numbers. */
const ARRAYS = { 2: Uint8Array, 4: Int16Array, 8: Int32Array, 16: Float32Array, 256: Int8Array, 512: Uint16Array }

/**
 * A volume as it was sent.
 * @typedef {object} Volume
 * @property {number[]} dims voxels along x, y and z
 * @property {number[]} spacing of voxels along x, y and z, in mm
 * @property {number[][]} affine from voxel indices to mm in NIfTI's space, whose x rises to the patient's right
 * @property {Int16Array | Float32Array | Uint8Array} voxels as stored, x fastest
 * @property {number} slope and
 * @property {number} intercept that make them Hounsfield units or residuals
 * @property {number} most the value at which its colours end (`cal_max`)
 */

/**
 * @param {ArrayBuffer} data
 * @returns {Promise<{answer: object, report: Uint8Array, ct: Volume, residual: Volume, marked: Volume}>}
 */
export async function unpack(data) {
  const files = unzipSync(new Uint8Array(data))
  const answer = JSON.parse(new TextDecoder().decode(need(files, 'answer.json')))
  const report = need(files, 'report.html')
  const ct = await volumeOf(need(files, 'ct.nii.gz'))
  const residual = await volumeOf(need(files, 'residual.nii.gz'))
  const marked = await volumeOf(need(files, 'marked.nii.gz'))
  if (ct.dims.some((size, axis) => size !== residual.dims[axis] || size !== marked.dims[axis])) {
    throw new Error('Residual or marks do not lie on the grid of the CT.')
  }
  return { answer, report, ct, residual, marked }
}

function need(files, name) {
  if (!(name in files)) throw new Error(`The server's answer lacks ${name}.`)
  return files[name]
}

async function volumeOf(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'))
  const data = await new Response(stream).arrayBuffer()
  const header = readHeader(data)
  const Voxels = header && ARRAYS[header.datatypeCode]
  if (!Voxels) throw new Error('A volume in the server’s answer is no NIfTI file of plain numbers.')
  const dims = header.dims.slice(1, 4)
  return {
    dims,
    spacing: header.pixDims.slice(1, 4),
    affine: header.affine,
    voxels: new Voxels(readImage(header, data), 0, dims[0] * dims[1] * dims[2]),
    slope: header.scl_slope || 1,
    intercept: header.scl_inter || 0,
    most: header.cal_max
  }
}
