// The images on the screen: niivue draws them, one slice at a time.
//
// A whole volume would take some 20 bytes a voxel on the graphics card, more than 1 GB for a thin series, and be
// drawn anew with each change of the window. A slice of it takes none that matters, also where no card is.

import { NVImage, Niivue, SLICE_TYPE } from '../vendor/viewer.js'
import { cut, sliceAffine, toVoxel, valueAt } from './grid.js'
import { PLANES, RESIDUAL_COLOURS, WINDOWS, ZOOM } from './settings.js'

const SLICE_TYPES = { axial: SLICE_TYPE.AXIAL, coronal: SLICE_TYPE.CORONAL, sagittal: SLICE_TYPE.SAGITTAL }
const FLOAT32 = 16

/** This browser cannot draw: it has no WebGL 2. */
export class NoDrawingError extends Error {}

export class Scan {
  #niivue
  #ct = null
  #residual = null
  #layers = []
  #pan = [0, 0, 0]
  #drawing = Promise.resolve()

  plane = PLANES[0]
  window = WINDOWS[0]
  position = [0, 0, 0]
  opacity = 0.6
  overlaid = true
  zoom = 1
  range = [0, 1]

  /** @param {HTMLCanvasElement} canvas */
  static async on(canvas) {
    if (!document.createElement('canvas').getContext('webgl2')) {
      throw new NoDrawingError('This browser cannot draw the images: it has no WebGL 2. The answer is not affected.')
    }
    const scan = new Scan()
    scan.#niivue = new Niivue({
      interactive: false,
      dragAndDropEnabled: false,
      crosshairWidth: 0,
      fontColor: [0.87, 0.87, 0.87, 1],
      fontMinPx: 15,
      isRadiologicalConvention: true,
      showAllOrientationMarkers: true,
      sagittalNoseLeft: true,
      loadingText: '',
      logLevel: 'error'
    })
    scan.#niivue.addColormap('residual', RESIDUAL_COLOURS)
    await scan.#niivue.attachToCanvas(canvas, false)
    return scan
  }

  /**
   * Show a study from its middle.
   * @param {import('./unpack.js').Volume} ct
   * @param {import('./unpack.js').Volume} residual
   * @param {number} least residual at which the overlay's colours begin; they end where its header says
   */
  async show(ct, residual, least) {
    Object.assign(this, { plane: PLANES[0], window: WINDOWS[0], zoom: 1 })
    this.#ct = ct
    this.#residual = residual
    this.range = [least, residual.most]
    this.position = ct.dims.map((size) => Math.floor(size / 2))
    await this.setPlane(this.plane)
  }

  /** Let go of the study. */
  clear() {
    this.#ct = null
    this.#residual = null
    for (const layer of this.#layers.splice(0).reverse()) this.#niivue.removeVolume(layer)
  }

  /** Whether there is nothing to look at. */
  get empty() {
    return this.#layers.length === 0
  }

  get count() {
    return this.#ct.dims[this.plane.axis]
  }

  get index() {
    return this.position[this.plane.axis]
  }

  /** Draw another slice of the plane, clamped to those that there are. */
  setIndex(index) {
    this.position[this.plane.axis] = Math.min(Math.max(index, 0), this.count - 1)
    this.#draw()
  }

  /** Draw the slice through a voxel (x, y, z). */
  goTo(voxel) {
    this.position = voxel.map((place, axis) => Math.min(Math.max(place, 0), this.#ct.dims[axis] - 1))
    this.#draw()
  }

  setWindow(window) {
    this.window = window
    this.#draw()
  }

  setOverlay(overlaid, opacity) {
    Object.assign(this, { overlaid, opacity })
    this.#draw()
  }

  setZoom(zoom) {
    this.zoom = Math.min(Math.max(zoom, ZOOM.least), ZOOM.most)
    if (this.zoom === ZOOM.least) this.#pan = [0, 0, 0]
    this.#niivue.setPan2Dxyzmm([...this.#pan, this.zoom])
  }

  /** Move what is under one point of the canvas to another one, where the image is larger than the screen. */
  drag([fromX, fromY], [toX, toY]) {
    if (this.zoom === ZOOM.least || this.#layers.length === 0) return
    const from = this.#millimetresUnder(fromX, fromY)
    const to = this.#millimetresUnder(toX, toY)
    if (from === null || to === null) return
    this.#pan = this.#pan.map((shift, axis) => shift + to[axis] - from[axis])
    this.#niivue.setPan2Dxyzmm([...this.#pan, this.zoom])
  }

  /** Lay out the slices of a plane and draw the one through the position. */
  async setPlane(plane) {
    this.plane = plane
    // One after the other: a change of plane waits for the one before.
    this.#drawing = this.#drawing.then(() => this.#layOut())
    await this.#drawing
  }

  /**
   * What lies under a point of the canvas.
   * @returns {{voxel: number[], hounsfield: number, residual: number} | null}
   */
  valueUnder(x, y) {
    const millimetres = this.#layers.length ? this.#millimetresUnder(x, y) : null
    if (millimetres === null) return null
    const voxel = toVoxel(this.#ct, millimetres)
    voxel[this.plane.axis] = this.index
    if (voxel.some((place, axis) => place < 0 || place >= this.#ct.dims[axis])) return null
    return { voxel, hounsfield: valueAt(this.#ct, voxel), residual: valueAt(this.#residual, voxel) }
  }

  async #layOut() {
    const niivue = this.#niivue
    for (const layer of this.#layers.splice(0).reverse()) niivue.removeVolume(layer)
    niivue.setSliceType(SLICE_TYPES[this.plane.id])
    const layers = [await this.#layer(this.#ct, 'ct', 'gray'), await this.#layer(this.#residual, 'residual', 'residual')]
    for (const layer of layers) niivue.addVolume(layer)
    this.#layers = layers
    this.setZoom(this.zoom)
    this.#draw()
  }

  async #layer(volume, name, colours) {
    const { axis } = this.plane
    const dims = volume.dims.map((size, one) => (one === axis ? 1 : size))
    const empty = new Float32Array(dims[0] * dims[1] * dims[2])
    const affine = sliceAffine(volume, axis, this.index).flat()
    const file = NVImage.createNiftiArray(dims, volume.spacing, affine, FLOAT32, empty)
    const layer = await NVImage.new(file.buffer, `${name}.nii`, colours)
    layer.colorbarVisible = false
    return layer
  }

  #draw() {
    if (this.#layers.length === 0) return
    const [ct, residual] = this.#layers
    cut(this.#ct, this.plane.axis, this.index, ct.img)
    cut(this.#residual, this.plane.axis, this.index, residual.img)
    ct.cal_min = this.window.centre - this.window.width / 2
    ct.cal_max = this.window.centre + this.window.width / 2
    const [low, high] = this.range
    residual.cal_min = low
    residual.cal_max = high
    residual.opacity = this.overlaid ? this.opacity : 0
    this.#niivue.updateGLVolume()
  }

  #millimetresUnder(x, y) {
    const ratio = this.#niivue.uiData.dpr ?? 1
    const fraction = this.#niivue.canvasPos2frac([x * ratio, y * ratio])
    return fraction[0] < 0 ? null : this.#niivue.frac2mm(fraction, 0, true)
  }
}
