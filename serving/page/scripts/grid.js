// Slices of a volume: cutting, and where what the answer lists lies on them.

/**
 * One slice as real values, with the size of a volume that is one voxel thick along `axis`.
 * @param {import('./unpack.js').Volume} volume
 * @param {number} axis 0, 1 or 2
 * @param {number} index of the slice along it
 * @param {Float32Array} into filled in x, y, z order
 */
export function cut(volume, axis, index, into) {
  const { dims, voxels, slope, intercept } = volume
  const low = [0, 0, 0]
  const high = [...dims]
  low[axis] = index
  high[axis] = index + 1
  let place = 0
  for (let z = low[2]; z < high[2]; z += 1) {
    for (let y = low[1]; y < high[1]; y += 1) {
      const row = (z * dims[1] + y) * dims[0]
      for (let x = low[0]; x < high[0]; x += 1) {
        into[place] = voxels[row + x] * slope + intercept
        place += 1
      }
    }
  }
  return into
}

/** The value of one voxel (x, y, z). */
export function valueAt(volume, [x, y, z]) {
  return volume.voxels[(z * volume.dims[1] + y) * volume.dims[0] + x] * volume.slope + volume.intercept
}

/** Millimetres of a voxel (x, y, z) by the volume's affine. */
export function toMillimetres(volume, voxel) {
  return [0, 1, 2].map((row) => {
    const [a, b, c, shift] = volume.affine[row]
    return a * voxel[0] + b * voxel[1] + c * voxel[2] + shift
  })
}

/** The affine of a slice that is a volume one voxel thick. */
export function sliceAffine(volume, axis, index) {
  const corner = [0, 0, 0]
  corner[axis] = index
  const origin = toMillimetres(volume, corner)
  return volume.affine.map((row, number) => (number < 3 ? [...row.slice(0, 3), origin[number]] : [...row]))
}

/**
 * How many voxels are marked on each slice, along each axis.
 * @param {import('./unpack.js').Volume} marked 1 where the answer's burden counts, else 0
 * @returns {Float64Array[]} one array of counts for each axis
 */
export function markedBySlice({ dims, voxels }) {
  const counts = dims.map((size) => new Float64Array(size))
  const [wide, high] = dims
  for (let place = voxels.indexOf(1); place >= 0; place = voxels.indexOf(1, place + 1)) {
    counts[0][place % wide] += 1
    counts[1][Math.floor(place / wide) % high] += 1
    counts[2][Math.floor(place / (wide * high))] += 1
  }
  return counts
}

/** Index of the largest count, or null where nothing counts. */
export function mostMarked(counts) {
  let best = 0
  for (let index = 1; index < counts.length; index += 1) if (counts[index] > counts[best]) best = index
  return counts[best] > 0 ? best : null
}

/** The voxel (x, y, z) at a place in mm; the server's volumes lie along the axes of the patient. */
export function toVoxel(volume, millimetres) {
  return [0, 1, 2].map((axis) => Math.round((millimetres[axis] - volume.affine[axis][3]) / volume.affine[axis][axis]))
}
