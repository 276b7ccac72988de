// What a reader can do with the images: by mouse, by keyboard, by the controls around them.

import { announce, byId, el, svg } from './dom.js'
import { markedBySlice, mostMarked } from './grid.js'
import { OPACITY_STEP, PAGE_SLICES, PLANES, WINDOWS, ZOOM } from './settings.js'
import { percent, signed } from './words.js'

const SPEAK_MS = 350

export class Controls {
  #scan
  #marked = null
  #foci = []
  #speaking = null

  /** @param {import('./scan.js').Scan} scan */
  constructor(scan) {
    this.#scan = scan
    this.#choice('windows', WINDOWS, (window) => this.#setWindow(window))
    this.#choice('planes', PLANES, (plane) => this.#setPlane(plane))
    byId('overlay').addEventListener('change', () => this.#setOverlay())
    byId('opacity').addEventListener('input', () => this.#setOverlay())
    byId('slice').addEventListener('input', (event) => this.#toSlice(Number(event.target.value) - 1))
    byId('jump').addEventListener('click', () => this.#jump())
    const screen = byId('screen')
    screen.addEventListener('keydown', (event) => this.#key(event))
    screen.addEventListener('wheel', (event) => this.#wheel(event), { passive: false })
    screen.addEventListener('pointermove', (event) => this.#point(event))
    screen.addEventListener('pointerleave', () => byId('corner-value').replaceChildren())
  }

  /** Begin with a study: all controls as at the start, the middle slice or the most suspicious one. */
  async open({ ct, residual, marked }, { foci, threshold }) {
    this.#foci = foci
    this.#marked = markedBySlice(marked)
    for (const [group, chosen] of [['windows', WINDOWS[0]], ['planes', PLANES[0]]]) {
      byId(group).querySelector(`input[value="${chosen.id}"]`).checked = true
    }
    byId('overlay').checked = true
    byId('jump').setAttribute('aria-disabled', String(foci.length === 0))
    byId('jump-why').textContent = foci.length ? '' : 'No area of the lungs is marked in this study.'
    this.#setOverlay()
    await this.#scan.show(ct, residual, threshold)
    const [low, high] = this.#scan.range
    byId('legend-low').textContent = low.toFixed(2)
    byId('legend-high').textContent = `≥ ${high.toFixed(2)}`
    this.#laidOut()
    if (foci.length) this.#jump()
  }

  /** Show the slice of the present plane through the middle of a marked area. */
  goTo(focus) {
    if (this.#scan.empty) return
    this.#scan.goTo([...focus.centre_voxel].reverse())
    this.#moved(true)
    byId('screen').focus()
  }

  #choice(group, options, choose) {
    byId(group).append(...options.map((option, number) => {
      const input = el('input', { type: 'radio', name: group, value: option.id, checked: number === 0 })
      input.addEventListener('change', () => choose(option))
      return el('label', {}, input, el('span', {}, option.name))
    }))
  }

  #setWindow(window) {
    this.#scan.setWindow(window)
    this.#corners()
  }

  async #setPlane(plane) {
    await this.#scan.setPlane(plane)
    this.#laidOut()
  }

  #setOverlay() {
    const overlaid = byId('overlay').checked
    const opacity = Number(byId('opacity').value)
    byId('opacity').disabled = !overlaid
    byId('opacity-text').textContent = `${opacity} %`
    byId('opacity').setAttribute('aria-valuetext', `${opacity} percent`)
    byId('legend').hidden = !overlaid
    this.#scan.setOverlay(overlaid, opacity / 100)
  }

  #toSlice(index) {
    this.#scan.setIndex(index)
    this.#moved()
  }

  #jump() {
    if (this.#foci.length === 0) return
    const { axis } = this.#scan.plane
    const position = [...this.#foci[0].centre_voxel].reverse()
    // The slice on which most is marked; the largest area says where the other planes would cut.
    position[axis] = mostMarked(this.#marked[axis]) ?? position[axis]
    this.#scan.goTo(position)
    this.#moved(true)
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || this.#scan.empty) return
    const scan = this.#scan
    const choose = (group, number) => byId(group).querySelectorAll('input')[number].click()
    const fade = (step) => {
      byId('opacity').value = Number(byId('opacity').value) + step
      this.#setOverlay()
    }
    const actions = {
      ArrowUp: () => this.#toSlice(scan.index + 1),
      ArrowDown: () => this.#toSlice(scan.index - 1),
      PageUp: () => this.#toSlice(scan.index + PAGE_SLICES),
      PageDown: () => this.#toSlice(scan.index - PAGE_SLICES),
      Home: () => this.#toSlice(0),
      End: () => this.#toSlice(scan.count - 1),
      m: () => this.#jump(),
      1: () => choose('windows', 0),
      2: () => choose('windows', 1),
      3: () => choose('windows', 2),
      r: () => byId('overlay').click(),
      '[': () => fade(-OPACITY_STEP),
      ']': () => fade(OPACITY_STEP),
      '+': () => scan.setZoom(scan.zoom * ZOOM.step),
      '-': () => scan.setZoom(scan.zoom / ZOOM.step),
      0: () => scan.setZoom(ZOOM.least)
    }
    const action = actions[event.key] ?? actions[event.key.toLowerCase()]
    if (!action) return
    event.preventDefault()
    action()
  }

  #wheel(event) {
    event.preventDefault()
    if (this.#scan.empty) return
    const step = Math.sign(event.deltaY)
    if (event.ctrlKey) this.#scan.setZoom(this.#scan.zoom * ZOOM.step ** -step)
    else this.#toSlice(this.#scan.index - step)
  }

  #point(event) {
    const { left, top } = byId('canvas').getBoundingClientRect()
    const at = [event.clientX - left, event.clientY - top]
    if (event.buttons === 1) this.#scan.drag([at[0] - event.movementX, at[1] - event.movementY], at)
    const value = this.#scan.valueUnder(...at)
    byId('corner-value').textContent = value
      ? `${signed(Math.round(value.hounsfield))} HU, residual ${signed(value.residual.toFixed(2))}`
      : ''
  }

  #laidOut() {
    const scan = this.#scan
    const slider = byId('slice')
    slider.max = scan.count
    this.#profile()
    this.#corners()
    this.#moved()
  }

  #corners() {
    const { plane, window } = this.#scan
    byId('corner-plane').textContent = plane.name
    byId('corner-window').textContent = `${window.name}: ${signed(window.centre)} / ${window.width} HU`
  }

  /** One bar for each slice of the plane, as long as much is marked on it. */
  #profile() {
    const counts = this.#marked[this.#scan.plane.axis]
    const most = Math.max(...counts)
    const profile = byId('profile')
    profile.setAttribute('viewBox', `0 0 1 ${counts.length}`)
    profile.replaceChildren(...[...counts].flatMap((count, index) => {
      if (count === 0) return []
      const width = count / most
      return [svg('rect', { x: 1 - width, y: counts.length - 1 - index, width, height: 1 })]
    }))
  }

  #moved(atOnce = false) {
    const { index, count, plane } = this.#scan
    const counts = this.#marked[plane.axis]
    const most = Math.max(...counts)
    const marked = most === 0 ? '' : counts[index] === 0 ? ', nothing marked' : counts[index] === most ? ', most is marked here' : `, ${percent(counts[index] / most)} of the most marked slice`
    const words = `Slice ${index + 1} of ${count} from the ${plane.from}${marked}`
    byId('slice').value = index + 1
    byId('slice').setAttribute('aria-valuetext', words)
    byId('slice-text').textContent = words
    // While slices fly past, only the one on which they stop is read out.
    clearTimeout(this.#speaking)
    this.#speaking = setTimeout(() => announce(words), atOnce ? 0 : SPEAK_MS)
  }
}
