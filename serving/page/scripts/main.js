// The page from the first look to the answer: which part is shown, and what leads from one to the next.

import { Controls } from './controls.js'
import { announce, byId, el, facts, showOnly } from './dom.js'
import { findingsOf } from './findings.js'
import { NoDrawingError, Scan } from './scan.js'
import { Refusal, needsToken, requireReady, send, useToken } from './server.js'
import { HEALTH_MS, RELEASE_MS } from './settings.js'
import { Stages } from './stages.js'
import { NothingChosenError, filesOfDrop, studyOf } from './study.js'
import { unpack } from './unpack.js'
import { hintOf, isJudged, megabytes, titleOf } from './words.js'

const parts = ['start', 'refused', 'working', 'reading'].map(byId)
let study = null
let stopping = null
let choices = 0
let viewer = null

function show(id) {
  showOnly(byId(id), ...parts)
  document.body.classList.toggle('reads', id === 'reading')
  byId('new-study').hidden = id !== 'reading'
}

function begin() {
  stopping?.abort()
  study = null
  viewer?.scan.clear()
  byId('findings').replaceChildren()
  for (const input of [byId('pick-zip'), byId('pick-folder')]) input.value = ''
  show('start')
  byId('pick-zip').focus()
}

/** Judge what was chosen or dropped; whatever was sent or shown before is let go of first. */
async function take(chosen) {
  stopping?.abort()
  stopping = null
  study = null
  const mine = ++choices
  try {
    const next = await studyOf(await chosen)
    if (mine !== choices) return
    study = next
  } catch (error) {
    if (mine === choices) refuse(error)
    return
  }
  await judge()
}

async function judge() {
  const stages = new Stages()
  stopping?.abort()
  const controller = new AbortController()
  stopping = controller
  // Never the images of one study beside the answer of another.
  viewer?.scan.clear()
  show('working')
  byId('working-what').textContent = `${study.what}, ${megabytes(study.bytes)}`
  byId('working-title').focus()
  try {
    const data = await send(study, (at) => stages.update(at), controller.signal)
    const { answer, report, ...volumes } = await unpack(data)
    if (!controller.signal.aborted) await read(answer, report, volumes)
  } catch (error) {
    if (error.name === 'AbortError') {
      if (stopping === controller) begin()
    } else if (stopping === controller) refuse(error)
  }
}

async function read(answer, report, volumes) {
  show('reading')
  byId('tools').hidden = false
  byId('no-viewer').hidden = true
  const keep = keepButtons(answer, report)
  byId('findings').replaceChildren(...findingsOf(answer, (focus) => viewer?.controls.goTo(focus), keep))
  byId('findings').scrollTop = 0
  byId('verdict').focus()
  announce(`The answer is here. ${titleOf(answer)}.${isJudged(answer) ? '' : ' No class is named.'}`)
  try {
    viewer ??= await openViewer()
    await viewer.controls.open(volumes, answer.burden)
  } catch (error) {
    byId('tools').hidden = true
    byId('no-viewer').hidden = false
    byId('no-viewer').textContent =
      error instanceof NoDrawingError ? error.message : 'The images cannot be drawn. The answer is not affected.'
  }
}

async function openViewer() {
  const scan = await Scan.on(byId('canvas'))
  return { scan, controls: new Controls(scan) }
}

function keepButtons(answer, report) {
  const name = `covidctnet-${answer.request_id.slice(0, 8)}`
  const keep = (id, words, content, type, ending) =>
    el('button', { type: 'button', id, onclick: () => save(content, type, `${name}.${ending}`) }, words)
  return el('div', { class: 'keep' },
    keep('save-report', 'Download the report', report, 'text/html', 'html'),
    keep('save-answer', 'Download the answer (JSON)', JSON.stringify(answer, null, 2), 'application/json', 'json'))
}

function save(content, type, name) {
  const address = URL.createObjectURL(new Blob([content], { type }))
  el('a', { href: address, download: name }).click()
  // Some browsers read it only after this turn.
  setTimeout(() => URL.revokeObjectURL(address), RELEASE_MS)
}

function refuse(error) {
  if (error.status === 401 && study) {
    useToken('')
    askForToken('The token was not accepted. Enter it again, then choose the study.')
    return
  }
  const known = error instanceof Refusal || error instanceof NothingChosenError
  byId('refused-title').textContent = known ? error.message : 'The answer cannot be shown.'
  byId('refused-detail').textContent = known ? (error.detail ?? '') : error.message
  byId('refused-hint').textContent = hintOf(error.code ?? 'no_ct_images')
  byId('refused-facts').replaceChildren(...facts([
    ['Code', error.code],
    ['Request', error.request_id],
    ['Try again', error.retryAfter ? `in ${error.retryAfter} s` : null]
  ]))
  byId('again').hidden = study === null
  show('refused')
  byId('refused-title').focus()
}

function askForToken(wrong = '') {
  show('start')
  byId('token-form').hidden = false
  byId('token-error').textContent = wrong
  byId('token').value = ''
  byId('token').focus()
}

async function tryToken(event) {
  event.preventDefault()
  useToken(byId('token').value)
  try {
    if (await needsToken()) askForToken('This token is not known here.')
    else {
      byId('token-form').hidden = true
      announce('The token is accepted. Choose a study.')
      byId('pick-zip').focus()
    }
  } catch (error) {
    byId('token-error').textContent = `${error.message} ${error.detail}`
  }
}

async function lookAtServer() {
  let [state, words] = ['ready', 'Server ready']
  try {
    await requireReady()
  } catch (error) {
    state = 'away'
    words = error.code === 'not_ready' ? 'Server not ready' : 'Server not reached'
  }
  byId('server').className = `server ${state}`
  if (byId('server-text').textContent !== words) byId('server-text').textContent = words
}

function listen() {
  for (const input of [byId('pick-zip'), byId('pick-folder')]) {
    input.addEventListener('change', () => input.files.length && take([...input.files]))
  }
  const mark = (dragging) => document.body.classList.toggle('dragging', dragging)
  document.addEventListener('dragover', (event) => {
    event.preventDefault()
    mark(true)
  })
  document.addEventListener('dragleave', (event) => event.relatedTarget === null && mark(false))
  document.addEventListener('drop', async (event) => {
    event.preventDefault()
    mark(false)
    // Words that slip from the page onto itself are no study.
    if (event.dataTransfer.types.includes('Files')) await take(filesOfDrop(event.dataTransfer))
  })
  byId('token-form').addEventListener('submit', tryToken)
  byId('again').addEventListener('click', judge)
  byId('other').addEventListener('click', begin)
  byId('new-study').addEventListener('click', begin)
  byId('stop').addEventListener('click', () => stopping.abort())
}

listen()
await lookAtServer()
setInterval(lookAtServer, HEALTH_MS)
if (await needsToken().catch(() => false)) askForToken()
