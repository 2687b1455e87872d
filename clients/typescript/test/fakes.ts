// A clock that tests move, and servers that answer what tests say.

import type { Clock } from '../src/clock.js';

interface Timer {
  at: number;
  readonly milliseconds: number;
  readonly resolve: () => void;
}

/** A timer of this length is the end of a request; pauses are shorter. */
const REQUEST_MS = 30_000;

/** The pause before keys are asked for a second time is shorter, in seconds, and those between polls are longer. */
const SHORT_PAUSE = 2;

/** A clock that moves only when a test moves it. */
export class FakeClock implements Clock {
  #now: number;
  #monotonic = 5_000_000;
  readonly #timers = new Set<Timer>();

  /** `now` is in seconds. */
  constructor(now: number) {
    this.#now = now * 1_000;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = { at: this.#monotonic + milliseconds, milliseconds, resolve };
      this.#timers.add(timer);
      signal?.addEventListener('abort', () => {
        this.#timers.delete(timer);
        resolve();
      });
    });
  }

  /** Moves both clocks, and stops at each timer on the way until everything that it sets off has happened. */
  async advance(seconds: number): Promise<void> {
    const end = this.#monotonic + seconds * 1_000;
    await settle();
    for (let next = this.#next(); next && next.at <= end; next = this.#next()) {
      this.#move(Math.max(next.at, this.#monotonic));
      this.#timers.delete(next);
      next.resolve();
      await settle();
    }
    this.#move(end);
    await settle();
  }

  /** Moves both clocks as if no request were under way. A pause that ends on the way ends when time goes on. */
  pass(seconds: number): void {
    for (const timer of this.#timers) if (timer.milliseconds >= REQUEST_MS) timer.at += seconds * 1_000;
    this.#move(this.#monotonic + seconds * 1_000);
  }

  /** The seconds until the next timer. */
  get nextIn(): number {
    const next = this.#next();
    return next ? (next.at - this.#monotonic) / 1_000 : Number.POSITIVE_INFINITY;
  }

  /** Moves both clocks to the next timer. */
  async advanceToNext(): Promise<void> {
    const next = this.#next();
    if (next) await this.advance(Math.max(0, next.at - this.#monotonic) / 1_000);
  }

  /** What a promise gives, after a pause if it waits for one. A poll that is held pauses nothing. */
  async through<T>(promise: Promise<T>): Promise<T> {
    let isOver = false;
    const end = () => {
      isOver = true;
    };
    promise.then(end, end);
    while (!isOver) {
      await settle();
      if (!isOver && this.nextIn < SHORT_PAUSE) await this.advanceToNext();
    }
    return promise;
  }

  /** Sets the time of day. */
  step(seconds: number): void {
    this.#now += seconds * 1_000;
  }

  /** How many wait for this clock. */
  get waiting(): number {
    return this.#timers.size;
  }

  #next(): Timer | undefined {
    return [...this.#timers].sort((one, other) => one.at - other.at)[0];
  }

  #move(monotonic: number): void {
    this.#now += monotonic - this.#monotonic;
    this.#monotonic = monotonic;
  }
}

/** Lets everything happen that waits for nothing but its turn. The pool that checks signatures has its turn too. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export interface FakeAnswer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body: unknown;
}

/** An answer whose body is JSON, or a text as it is. */
export function response({ status, headers = {}, body }: FakeAnswer): Response {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return new Response([204, 304].includes(status) ? null : text, { status, headers });
}

/** What `fetch` throws where nobody listens. */
export const unreachable = () => new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') });
