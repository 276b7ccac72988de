// node build.mjs FOLDER: writes viewer.js, the licences of what is in it, and from which lock file it was built.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

const here = import.meta.dirname
const folder = process.argv[2]
const outfile = join(folder, 'viewer.js')
// niivue's package names its licence and leaves out the text.
const OWN_TEXTS = { '@niivue/niivue': [join(here, 'licences', 'niivue.txt')] }

function sha256(path) {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

function licenceOf(name) {
  const place = join(here, 'node_modules', name)
  const { version, license } = JSON.parse(readFileSync(join(place, 'package.json')))
  const files = readdirSync(place).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
  const texts = [...files.map((file) => join(place, file)), ...(OWN_TEXTS[name] ?? [])].map((path) =>
    readFileSync(path, 'utf8').replaceAll('\r\n', '\n').trim()
  )
  if (texts.length === 0) throw new Error(`${name} brings no text of its licence: put it into licences/`)
  const rule = '-'.repeat(80)
  return [rule, `${name} ${version} (${license})`, rule, ...texts].join('\n\n')
}

mkdirSync(folder, { recursive: true })
const { metafile } = await build({
  entryPoints: [join(here, 'entry.js')],
  outfile,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'none',
  charset: 'utf8',
  metafile: true,
  absWorkingDir: here,
  alias: { zarrita: './no-zarr.js' },
  logLevel: 'warning'
})

const inputs = Object.keys(metafile.inputs).filter((path) => path.startsWith('node_modules/'))
const names = inputs.map((path) => path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)/)[1])
const licences = [...new Set(names)].sort().map(licenceOf)
writeFileSync(join(folder, 'viewer.licences.txt'), `${licences.join('\n\n')}\n`)

const sources = ['build.mjs', 'entry.js', 'no-zarr.js', 'package-lock.json']
const record = {
  'viewer.js': sha256(outfile),
  'viewer.licences.txt': sha256(join(folder, 'viewer.licences.txt')),
  builtFrom: Object.fromEntries(sources.map((name) => [name, sha256(join(here, name))]))
}
writeFileSync(join(folder, 'viewer.json'), `${JSON.stringify(record, null, 2)}\n`)
