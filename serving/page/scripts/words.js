// What the numbers of an answer mean, in plain words.

export const NOT_JUDGED = 'cannot be judged'

/** The three patterns that the model knows, in the order in which they are shown. */
export const PATTERNS = [
  { label: 'Covid-19', tone: 'tone-covid', means: 'the pattern of Covid-19 pneumonia' },
  { label: 'CAP', tone: 'tone-cap', means: 'community-acquired pneumonia: a lung infection of another kind' },
  { label: 'Control', tone: 'tone-control', means: 'no lung infection of the kinds that the model knows' }
]

const TITLES = {
  'Covid-19': 'Covid-19 is the most probable',
  CAP: 'Another pneumonia is the most probable',
  Control: 'No infection is the most probable'
}

/** A probability as people read it; never 0 % or 100 %, which no model can know. */
export function percent(value) {
  if (value > 0.999) return '>\u00a099.9\u00a0%'
  if (value < 0.001) return '<\u00a00.1\u00a0%'
  return `${(100 * value).toFixed(1)}\u00a0%`
}

/** A number with the sign that is as wide as a plus. */
export const signed = (value) => String(value).replace('-', '−')

export const isJudged = (answer) => answer.label !== NOT_JUDGED

export const titleOf = (answer) => (isJudged(answer) ? (TITLES[answer.label] ?? answer.label) : 'Cannot be judged')

/** What the verdict means and does not mean. */
export function meaningOf(answer) {
  if (!isJudged(answer)) {
    return 'This study is too unlike those that the model learned from. It names no class, and its numbers mean nothing here. That says nothing about the patient.'
  }
  const chance = percent(answer.probabilities[answer.label])
  return `Of the three patterns that the model knows, it holds this one for the most probable: ${chance}. It cannot tell of anything else.`
}

/** The Covid-19 read-out at the threshold that was fixed before; null where nothing is judged. */
export function readoutOf(answer) {
  if (answer.covid_positive === null) return null
  const chance = percent(answer.probabilities['Covid-19'])
  const limit = percent(answer.covid_threshold)
  const differs = answer.covid_positive !== (answer.label === 'Covid-19')
  const note = differs ? 'This read-out looks at Covid-19 alone, and can differ from the most probable pattern.' : null
  return answer.covid_positive
    ? { sign: '▲', text: `Flagged for Covid-19: ${chance} reaches the threshold of ${limit}.`, note }
    : { sign: '○', text: `Not flagged for Covid-19: ${chance} is below the threshold of ${limit}.`, note }
}

/** How far the study lies from what training saw. */
export function distanceOf(answer) {
  const distance = answer.out_of_distribution
  if (distance === 0) return 'inside the range of the training studies'
  const times = distance < 0.01 ? 'less than 0.01' : distance.toFixed(2)
  return `outside the range of the training studies, by ${times} times its width`
}

const LABELS = {
  upload: 'Send',
  queue: 'Wait for a free place',
  read: 'Read the images',
  preprocess: 'Bring them to the model’s grid',
  denoise: 'Denoise every slice',
  classify: 'Classify',
  measure: 'Measure what is marked',
  report: 'Write the images',
  receive: 'Receive the answer'
}

/** Stages in the order in which a study goes through them, with the words for each. */
export const STAGES = Object.entries(LABELS).map(([id, name]) => ({ id, name }))

const HINTS = {
  bad_request: 'Choose a zip or a folder with the DICOM files of one series.',
  unreadable_study: 'A file is damaged or cut off. Export the series again and send all of it.',
  no_ct_images: 'There are no CT images in what was sent. Choose the folder that holds the series.',
  unsuitable_series: 'Send another series of the study: thin, axial, of the whole chest.',
  irregular_geometry: 'The slices do not form an even stack. Send the original series, complete.',
  implausible_image: 'The values are not those of a CT. Send the original images, not a copy or a capture.',
  too_large: 'Send one series instead of the whole study.',
  upload_timeout: 'The connection is slow or was interrupted. Send it again.',
  unauthenticated: 'Enter a valid access token.',
  busy: 'Others are being worked on. Send it again in a moment.',
  not_ready: 'The server is starting, stopping or not whole. Ask its operator if this stays so.',
  deadline_exceeded: 'The server was too busy. Send it again later.'
}

/** What a reader can do about a refusal. */
export const hintOf = (code) => HINTS[code] ?? 'If it happens again, give the request id to the operator of this server.'

/** A number of bytes, as people read it. */
export const megabytes = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`)
