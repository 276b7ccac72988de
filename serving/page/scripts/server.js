// Everything that the page asks of its server. Addresses are relative: an ingress may put the page below a prefix.

import { POLL_MS } from './settings.js'

let token = ''

/** The bearer token of this page, kept in memory alone. */
export function useToken(value) {
  token = value.trim()
}

const headers = () => (token ? { authorization: `Bearer ${token}` } : {})

/** A refusal: the server's own words, or why it was not reached. */
export class Refusal extends Error {
  constructor(body, status, retryAfter = null) {
    super(body.message)
    Object.assign(this, body, { status, retryAfter })
  }
}

const UNREACHED = {
  code: 'unreached',
  message: 'The server was not reached.',
  detail: 'The connection failed or was cut. Check the network and send the study again.'
}
const UNKNOWN = { code: 'unknown', message: 'The server gave no answer that can be read.', detail: '' }

function refusalOf(text, status, retryAfter) {
  try {
    const body = JSON.parse(text)
    if (body.code && body.message) return new Refusal(body, status, retryAfter)
  } catch {
    // Something on the way answered instead of the server.
  }
  return new Refusal({ ...UNKNOWN, detail: `It answered ${status}.` }, status)
}

/** Ask by GET for JSON. */
async function ask(path) {
  let response
  try {
    response = await fetch(path, { headers: headers(), cache: 'no-store', credentials: 'same-origin' })
  } catch {
    throw new Refusal(UNREACHED, 0)
  }
  const text = await response.text()
  if (!response.ok) throw refusalOf(text, response.status)
  return JSON.parse(text)
}

/** Whether the server wants a token that this page does not have. */
export async function needsToken() {
  try {
    await ask('v2')
    return false
  } catch (refusal) {
    if (refusal.status === 401) return true
    throw refusal
  }
}

/** Ready, or a Refusal with the reason. */
export const requireReady = () => ask('v2/health/ready')

/** A UUID by which progress is asked for; `crypto.randomUUID` is missing where a page comes by plain HTTP. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  bytes[6] = (bytes[6] & 0x0f) | 0x40
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  const text = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  return text.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/**
 * Send a study and wait for its answer with report and volumes.
 * @param {{body: Blob | FormData, type: string | null}} study
 * @param {(at: {stage: string, share: number | null, ahead?: number}) => void} onProgress
 * @param {AbortSignal} signal
 * @returns {Promise<ArrayBuffer>}
 */
export async function send(study, onProgress, signal) {
  const id = newId()
  const request = new XMLHttpRequest()
  request.open('POST', 'v1/studies?report=volume')
  request.responseType = 'arraybuffer'
  request.setRequestHeader('x-request-id', id)
  if (study.type) request.setRequestHeader('content-type', study.type)
  for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value)

  let working = false
  const part = (event) => (event.lengthComputable && event.total ? event.loaded / event.total : null)
  request.upload.onprogress = (event) => onProgress({ stage: 'upload', share: part(event) })
  request.upload.onload = () => {
    working = true
    follow(id, onProgress, () => working)
  }
  request.onprogress = (event) => {
    working = false
    if (request.status === 200) onProgress({ stage: 'receive', share: part(event) })
  }
  signal.addEventListener('abort', () => request.abort())
  try {
    return await new Promise((resolve, reject) => {
      request.onload = () => {
        if (request.status === 200) return resolve(request.response)
        const retryAfter = Number(request.getResponseHeader('retry-after')) || null
        reject(refusalOf(new TextDecoder().decode(request.response), request.status, retryAfter))
      }
      request.onerror = () => reject(new Refusal(UNREACHED, 0))
      request.onabort = () => reject(new DOMException('stopped', 'AbortError'))
      request.send(study.body)
    })
  } finally {
    working = false
  }
}

/** Ask how far the server is until it is no longer of interest; progress that cannot be had is no error. */
async function follow(id, onProgress, isWorking) {
  while (isWorking()) {
    try {
      const at = await ask(`v1/progress/${id}`)
      if (isWorking()) onProgress(at)
    } catch (refusal) {
      if (refusal.status !== 404) return
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}
