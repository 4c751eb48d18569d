/** Events per second over the last window and the running one, so that the figure neither jumps nor lags for long. */

const WINDOW_MS = 1000;

export class EventRate {
  #windowStartMs: number;
  #windowEvents = 0;
  #lastEvents = 0;
  #lastMs = 0;

  constructor(nowMs: number) {
    this.#windowStartMs = nowMs;
  }

  add(events: number, nowMs: number): void {
    this.#roll(nowMs);
    this.#windowEvents += events;
  }

  perSecond(nowMs: number): number {
    this.#roll(nowMs);
    const elapsedMs = this.#lastMs + nowMs - this.#windowStartMs;
    return elapsedMs === 0 ? 0 : ((this.#lastEvents + this.#windowEvents) * 1000) / elapsedMs;
  }

  #roll(nowMs: number): void {
    const elapsedMs = nowMs - this.#windowStartMs;
    if (elapsedMs < WINDOW_MS) return;
    this.#lastEvents = this.#windowEvents;
    this.#lastMs = elapsedMs;
    this.#windowEvents = 0;
    this.#windowStartMs = nowMs;
  }
}
