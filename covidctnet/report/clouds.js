"use strict"
// Draws the point clouds of the page on plain canvases: drag or arrow keys turn, wheel or + and - zoom, 0 goes back.
const START = { turn: -0.32, tilt: 0.24, zoom: 1.25 }
const LAYERS = { body: ["#8d99a6", 0.18, 1.1], lung: ["#4b7fa3", 0.3, 1.2], strong: [null, 0.85, 2.1] }

const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0))

function readCloud(source) {
  const layers = {}
  for (const name of Object.keys(LAYERS)) {
    const packed = bytes(source[name])
    const places = new Float32Array(packed.length)
    for (let i = 0; i < packed.length; i++) places[i] = (packed[i] / 255 - 0.5) * source.box[i % 3]
    layers[name] = places
  }
  return { layers, residual: new Int8Array(bytes(source.residual).buffer) }
}

// Denser than expected is orange, thinner is blue, as in every figure of the report; stronger is darker.
function residualColour(value) {
  const strength = Math.min(1, Math.abs(value) / 127)
  const [from, to] = value > 0 ? [[246, 181, 138], [160, 66, 0]] : [[158, 202, 232], [8, 48, 107]]
  return `rgb(${from.map((start, i) => Math.round(start + strength * (to[i] - start))).join(",")})`
}

function draw(view) {
  const { canvas, cloud, turn, tilt, zoom, hidden } = view
  const pixel = window.devicePixelRatio || 1
  const [width, height] = [canvas.clientWidth * pixel, canvas.clientHeight * pixel]
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height })
  const brush = canvas.getContext("2d")
  brush.fillStyle = "#ffffff"
  brush.fillRect(0, 0, width, height)
  const [ct, st, cp, sp] = [Math.cos(turn), Math.sin(turn), Math.cos(tilt), Math.sin(tilt)]
  const scale = 0.78 * zoom * Math.min(width, height)
  for (const [name, [colour, alpha, size]] of Object.entries(LAYERS)) {
    if (hidden.has(name)) continue
    const places = cloud.layers[name]
    brush.globalAlpha = alpha
    brush.fillStyle = colour ?? "#000000"
    const order = [...Array(places.length / 3).keys()]
    const depths = order.map(i => places[3 * i] * st + places[3 * i + 1] * ct)
    if (name === "strong") order.sort((a, b) => depths[b] - depths[a])
    for (const i of order) {
      const across = places[3 * i] * ct - places[3 * i + 1] * st
      const up = places[3 * i + 2] * cp + depths[i] * sp
      if (!colour) brush.fillStyle = residualColour(cloud.residual[i])
      const side = size * pixel * (1 - 0.35 * depths[i])
      brush.fillRect(width / 2 + across * scale, height / 2 - up * scale, side, side)
    }
  }
  brush.globalAlpha = 1
}

function move(view, change) {
  view.turn += change.turn ?? 0
  view.tilt = Math.max(-1.5, Math.min(1.5, view.tilt + (change.tilt ?? 0)))
  view.zoom = Math.max(0.5, Math.min(6, view.zoom * (change.zoom ?? 1)))
  requestAnimationFrame(() => draw(view))
}

const KEYS = {
  ArrowLeft: { turn: -0.12 }, ArrowRight: { turn: 0.12 }, ArrowUp: { tilt: 0.1 }, ArrowDown: { tilt: -0.1 },
  "+": { zoom: 1.15 }, "=": { zoom: 1.15 }, "-": { zoom: 1 / 1.15 },
}

function listen(view) {
  const { canvas } = view
  canvas.addEventListener("pointerdown", event => canvas.setPointerCapture(event.pointerId))
  canvas.addEventListener("pointermove", event => {
    if (event.buttons) move(view, { turn: event.movementX / 120, tilt: event.movementY / 120 })
  })
  canvas.addEventListener("wheel", event => {
    event.preventDefault()
    move(view, { zoom: Math.exp(-event.deltaY / 600) })
  }, { passive: false })
  canvas.addEventListener("keydown", event => {
    if (event.key === "0") Object.assign(view, START)
    else if (!(event.key in KEYS)) return
    event.preventDefault()
    move(view, KEYS[event.key] ?? {})
  })
  for (const box of canvas.parentElement.querySelectorAll("input[data-layer]")) {
    box.addEventListener("change", () => {
      view.hidden[box.checked ? "delete" : "add"](box.dataset.layer)
      move(view, {})
    })
  }
  window.addEventListener("resize", () => move(view, {}))
}

for (const canvas of document.querySelectorAll("canvas.cloud")) {
  const source = JSON.parse(document.getElementById(canvas.dataset.source).textContent)
  const hidden = new Set()
  for (const box of canvas.parentElement.querySelectorAll("input[data-layer]:not(:checked)")) hidden.add(box.dataset.layer)
  const view = { canvas, cloud: readCloud(source), hidden, ...START }
  listen(view)
  draw(view)
}
