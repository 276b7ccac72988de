// Everything here that is a choice of display; none of it changes an answer.

export const POLL_MS = 400
export const HEALTH_MS = 20_000
export const RELEASE_MS = 60_000

/** Window presets: centre and width in Hounsfield units, as radiology uses them for the chest. */
export const WINDOWS = [
  { id: 'lung', name: 'Lung', centre: -600, width: 1500 },
  { id: 'mediastinum', name: 'Mediastinum', centre: 40, width: 400 },
  { id: 'bone', name: 'Bone', centre: 400, width: 1800 }
]

/** Planes: the axis of the volume (0 right-left, 1 front-back, 2 feet-head) that its slices follow. */
export const PLANES = [
  { id: 'axial', name: 'Axial', axis: 2, from: 'feet' },
  { id: 'coronal', name: 'Coronal', axis: 1, from: 'front' },
  { id: 'sagittal', name: 'Sagittal', axis: 0, from: 'right' }
]

export const ZOOM = { step: 1.25, least: 1, most: 8 }
export const PAGE_SLICES = 10
export const OPACITY_STEP = 5

/** The overlay's colours: one hue that grows lighter, so that strength is not told by colour alone. */
export const RESIDUAL_COLOURS = {
  R: [122, 217, 255, 255],
  G: [46, 102, 179, 243],
  B: [0, 11, 71, 196],
  A: [0, 255, 255, 255],
  I: [0, 85, 170, 255]
}
