// The way of a study through the server, stage by stage.

import { announce, byId, el } from './dom.js'
import { STAGES } from './words.js'

/** The list of stages of one request, as it goes on. */
export class Stages {
  #rows = new Map()
  #now = -1
  #began = 0

  constructor() {
    const rows = STAGES.map(({ id, name }) => {
      const row = el('li', { 'data-stage': id },
        el('span', { class: 'mark', 'aria-hidden': true }),
        el('span', {}, name),
        el('span', { class: 'state' }))
      this.#rows.set(id, row)
      return row
    })
    byId('stages').replaceChildren(...rows)
  }

  /**
   * @param {{stage: string, share: number | null, ahead?: number}} at share from 0 to 1 of the stage, where it is
   *   known; ahead: studies that come before in the queue
   */
  update({ stage, share, ahead }) {
    const number = STAGES.findIndex(({ id }) => id === stage)
    // An answer to an earlier question may come late.
    if (number < this.#now || number < 0) return
    if (number > this.#now) this.#enter(number)
    const state = share !== null ? `${Math.floor(100 * share)} %` : ahead ? `${ahead} before it` : 'now'
    const row = this.#rows.get(stage)
    row.querySelector('.state').textContent = state
    let bar = row.querySelector('progress')
    if (share !== null && !bar) {
      bar = el('progress', { max: 1, 'aria-label': STAGES[number].name })
      row.append(bar)
    }
    if (bar && share !== null) bar.value = share
  }

  #enter(number) {
    const time = performance.now()
    const seconds = this.#now >= 0 ? (time - this.#began) / 1000 : null
    STAGES.slice(0, number).forEach(({ id }, place) => {
      const row = this.#rows.get(id)
      if (row.className === 'done') return
      row.className = 'done'
      row.removeAttribute('aria-current')
      row.querySelector('.mark').textContent = '✓'
      row.querySelector('.state').textContent = place === this.#now && seconds >= 0.1 ? `${seconds.toFixed(1)} s` : 'done'
      row.querySelector('progress')?.remove()
    })
    const row = this.#rows.get(STAGES[number].id)
    row.className = 'now'
    row.setAttribute('aria-current', 'step')
    row.querySelector('.mark').textContent = '●'
    this.#now = number
    this.#began = time
    announce(`${STAGES[number].name}, step ${number + 1} of ${STAGES.length}`)
  }
}
