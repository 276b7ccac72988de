// The answer, beside the images: verdict, chances, where, warnings, what answered.

import { el, facts, svg } from './dom.js'
import { PATTERNS, distanceOf, isJudged, meaningOf, percent, readoutOf, titleOf } from './words.js'

const warningSign = () =>
  svg('svg', { viewBox: '0 0 20 20', 'aria-hidden': true }, svg('path', { d: 'M10 2.5 18.5 17h-17z M10 8v4.2 M10 14.3v.4' }))

/**
 * Everything that is said of a study.
 * @param {object} answer as the server gave it
 * @param {(focus: object) => void} goTo called with the area that a reader wants to see
 * @param {HTMLElement} keep buttons that save something
 */
export function findingsOf(answer, goTo, keep) {
  return [
    verdict(answer),
    answer.warnings.length ? warnings(answer.warnings) : null,
    isJudged(answer) ? section('Probabilities', chances(answer)) : unused(answer),
    section('Where', ...where(answer, goTo)),
    section('Study', study(answer)),
    section('Keep', keep),
    section('What answered', ...model(answer))
  ].filter(Boolean)
}

const section = (title, ...children) => el('section', {}, el('h3', {}, title), ...children)

function verdict(answer) {
  const tone = isJudged(answer) ? PATTERNS.find(({ label }) => label === answer.label)?.tone : 'unjudged'
  const readout = readoutOf(answer)
  return el('section', { class: `verdict ${tone ?? ''}`, 'data-label': answer.label },
    el('p', { class: 'kicker' }, 'The model’s answer'),
    el('h2', { id: 'verdict', tabindex: '-1' }, titleOf(answer)),
    el('p', {}, meaningOf(answer)),
    readout && el('p', { class: 'readout' }, el('span', { class: 'sign', 'aria-hidden': true }, readout.sign), el('span', {}, readout.text)),
    readout?.note && el('p', { class: 'soft' }, readout.note))
}

function chances(answer) {
  const rows = PATTERNS.filter(({ label }) => label in answer.probabilities).map(({ label, tone, means }) => {
    const value = answer.probabilities[label]
    const bar = svg('svg', { viewBox: '0 0 1000 10', preserveAspectRatio: 'none' }, svg('rect', { width: 1000 * value, height: 10 }))
    if (label === 'Covid-19') bar.append(svg('rect', { class: 'limit', x: 1000 * answer.covid_threshold - 2, width: 4, height: 10 }))
    return el('li', { class: tone },
      el('p', { class: 'line' }, el('span', {}, label), el('data', { value, 'data-label': label }, percent(value))),
      el('div', { class: 'track', 'aria-hidden': true }, bar),
      el('p', { class: 'soft' }, `${capital(means)}.`))
  })
  return el('div', {},
    el('ul', { class: 'chances' }, ...rows),
    el('p', { class: 'soft' }, 'The three add up to 100 %. They are calibrated on the validation studies of this model’s training data; the white mark is the Covid-19 threshold.'))
}

function unused(answer) {
  return section('Probabilities', el('details', {},
    el('summary', {}, 'Show numbers that mean nothing for this study'),
    el('dl', { class: 'facts' }, ...facts(PATTERNS.map(({ label }) =>
      [label, el('data', { value: answer.probabilities[label], 'data-label': label }, percent(answer.probabilities[label]))])))))
}

function where(answer, goTo) {
  const { burden } = answer
  const words = capital(burden.words)
  if (burden.regions.length === 0) return [el('p', {}, `${words}.`)]
  const list = burden.foci.map((focus, number) =>
    el('li', {}, el('button', { type: 'button', class: 'focus', 'data-number': number, onclick: () => goTo(focus) },
      el('span', {}, capital(`${focus.side} ${focus.third} third, ${millilitres(focus.volume_ml)}`)),
      el('span', { class: 'at' }, `slice ${focus.centre_voxel[0] + 1}`))))
  return [
    el('p', {}, `${words}.`),
    thirds(burden.regions),
    list.length
      ? el('div', {}, el('p', { class: 'soft', id: 'foci-title' }, 'Largest marked areas; choose one to see it:'), el('ul', { class: 'foci', 'aria-labelledby': 'foci-title' }, ...list))
      : el('p', { class: 'soft' }, 'No marked area is large enough to be listed.')
  ]
}

function thirds(regions) {
  const share = (side, third) => {
    const region = regions.find((one) => one.side === side && one.third === third)
    return region && region.lung_ml > 0 ? region.affected_ml / region.lung_ml : null
  }
  const cell = (side, third) => {
    const value = share(side, third)
    if (value === null) return el('td', {}, 'no lung')
    const bar = svg('svg', { viewBox: '0 0 100 4', preserveAspectRatio: 'none', 'aria-hidden': true }, svg('rect', { width: 100 * value, height: 4 }))
    return el('td', {}, `${(100 * value).toFixed(0)} %`, bar)
  }
  // The patient's right is on the left, as on the images.
  return el('table', { class: 'thirds' },
    el('caption', {}, 'Share of each third of the lungs that is marked'),
    el('thead', {}, el('tr', {}, el('td', {}), el('th', { scope: 'col' }, 'right lung'), el('th', { scope: 'col' }, 'left lung'))),
    el('tbody', {}, ...['upper', 'middle', 'lower'].map((third) =>
      el('tr', {}, el('th', { scope: 'row' }, third), cell('right', third), cell('left', third)))))
}

function warnings(list) {
  return section('Warnings', el('ul', { class: 'warnings' },
    ...list.map((text) => el('li', {}, warningSign(), el('span', {}, capital(text))))))
}

function study(answer) {
  return el('dl', { class: 'facts' }, ...facts([
    ['Scanner', answer.scanner],
    ['Series', answer.series],
    ['Likeness', `It lies ${distanceOf(answer)}.`]
  ]))
}

function model(answer) {
  const code = (text) => (text ? el('code', {}, text) : null)
  const seconds = Object.entries(answer.timings ?? {}).map(([stage, value]) => `${stage} ${value.toFixed(1)} s`).join(', ')
  return [
    el('dl', { class: 'facts' }, ...facts([['Model version', code(answer.model_version)], ['Pair', code(answer.pair_id)], ['Profile', answer.profile]])),
    el('details', {}, el('summary', {}, 'More, for whoever asks'),
      el('dl', { class: 'facts' }, ...facts([
        ['Data', code(answer.data_version)],
        ['Code', code(answer.code_version)],
        ['Request', code(answer.request_id)],
        ['Seconds', seconds]
      ]))),
    el('p', { class: 'soft' }, answer.disclaimer)
  ]
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1)

const millilitres = (value) => (value < 10 ? `${value.toFixed(1)} ml` : `${value.toFixed(0)} ml`)
