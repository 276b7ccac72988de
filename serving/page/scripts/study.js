// What the reader chose or dropped, as the body of one request.

const ZIP_SIGNATURE = [0x50, 0x4b]

/** Nothing that could be sent. */
export class NothingChosenError extends Error {}

/**
 * A study to send: one zip as it is, anything else as parts of a form. Names of files may hold a patient's, and are
 * not sent.
 * @param {File[]} files
 * @returns {Promise<{body: Blob | FormData, type: string | null, bytes: number, what: string}>}
 */
export async function studyOf(files) {
  const whole = files.filter((file) => file.size > 0)
  if (whole.length === 0) throw new NothingChosenError('There are no files in it.')
  const bytes = whole.reduce((sum, file) => sum + file.size, 0)
  if (whole.length === 1 && (await isZip(whole[0]))) {
    return { body: whole[0], type: 'application/zip', bytes, what: 'one zip' }
  }
  const form = new FormData()
  for (const file of whole) form.append('files', file, 'file')
  return { body: form, type: null, bytes, what: whole.length === 1 ? 'one file' : `${whole.length} files` }
}

async function isZip(file) {
  const head = new Uint8Array(await file.slice(0, 2).arrayBuffer())
  return ZIP_SIGNATURE.every((byte, index) => head[index] === byte)
}

/**
 * All files of a drop, folders opened to any depth.
 * @param {DataTransfer} transfer
 * @returns {Promise<File[]>}
 */
export async function filesOfDrop(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean)
  if (entries.length === 0) return [...transfer.files]
  return (await Promise.all(entries.map(filesOfEntry))).flat()
}

async function filesOfEntry(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))]
  const files = []
  const reader = entry.createReader()
  for (;;) {
    // A reader gives at most a hundred entries a call, and none at the end.
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))
    if (part.length === 0) return files
    for (const inner of part) files.push(...(await filesOfEntry(inner)))
  }
}
