// Keeps the revocation list current: by long poll, and by polling where that is refused.

import { type Kept, readFile, writeFile } from './cachefile.js';
import type { Clock } from './clock.js';
import { type Answer, retryAfter, type Sending, send } from './http.js';
import { readList } from './lists.js';
import type { Metadata } from './metadata.js';
import { Revocations } from './revocations.js';

/** How long the server may hold a poll, in seconds, and how much longer its answer may take. */
const WAIT_SECONDS = 25;
const LATE_SECONDS = 5;
/**
 * Where nothing is held, the seconds from one poll to the next, so that verifiers do not ask in step. Within 16 s every
 * one of them has asked.
 */
const POLL_SECONDS: readonly [least: number, most: number] = [12, 15];
/** The longest pause after a failure, in seconds. */
const MAX_PAUSE_SECONDS = 15;
/** By how much any other pause differs from what it should be. */
const SPREAD = 0.2;
/** The shortest and the longest pause that a `Retry-After` brings about. */
const MIN_RETRY_AFTER_SECONDS = 1;
const MAX_RETRY_AFTER_SECONDS = 60;
/** The pause after news, so that a server with ever more of them is not asked without end. */
const NEWS_PAUSE_SECONDS = 0.1;
/** More than a list of a million entries has, in bytes. */
const MAX_LIST_BYTES = 256 * 1_048_576;
/** After `wait` was refused, it is tried again after this time. */
const TRY_WAIT_AGAIN_MS = 300_000;
/**
 * A poll that fails after so long was held, and something on the way would not wait: the next one is not held. So it is after
 * two that failed at once. If only those fail that were to be held, nothing is held after so many.
 */
const CUT_AFTER_MS = 2_000;
const MAX_CUTS = 3;
/** The statuses by which a server or a proxy refuses `wait`. */
const REFUSES_WAIT: readonly number[] = [400, 404, 414, 501];
/** The file is written at most this often, if nothing but the time has changed. */
const FILE_EVERY_MS = 15_000;

export interface FeedOptions {
  readonly issuer: string;
  readonly metadata: Metadata;
  readonly sending: Sending;
  /** Where the list is kept over a restart. */
  readonly file: string | undefined;
  /** Whether polls may be held. */
  readonly longPoll: boolean;
  /** Whether polls follow each other by themselves. If not, they are made on use. */
  readonly loop: boolean;
  /** The header fields by which a poll reports the version that is enforced. */
  readonly report: (version: string | undefined) => Promise<Record<string, string>>;
  /** Learns why a poll has failed, or the file could not be written. */
  readonly onError: (error: unknown) => void;
}

/** Why a poll gave nothing, though the server answered. */
class NoList extends Error {
  readonly retryAfter: number | undefined;

  constructor(why: string, retryAfter?: number) {
    super(`the revocation list: ${why}`);
    this.retryAfter = retryAfter;
  }
}

export class Feed {
  readonly revocations = new Revocations();
  readonly #options: FeedOptions;
  readonly #clock: Clock;
  readonly #ends = new AbortController();
  /** When the server was last heard, by the monotonic clock; never before the first answer. */
  #heardAt: number | undefined;
  /** Whether the first poll was answered, or has failed, and who waits for that. */
  #tried = false;
  #waiting: (() => void)[] = [];
  #restored: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #etag: string | undefined;
  #failures = 0;
  /** How many held polls have failed since one was answered, and whether polls are not held until one is answered. */
  #cuts = 0;
  #probing = false;
  #noWaitUntil = Number.NEGATIVE_INFINITY;
  /** Without a loop, when the next use polls. */
  #pollFrom = Number.NEGATIVE_INFINITY;
  #writtenAt = Number.NEGATIVE_INFINITY;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#clock = options.sending.clock;
  }

  /** Begins to poll, if it has not begun. It waits only until the file was read. */
  start(): Promise<void> {
    if (!this.#restored) {
      this.#restored = this.#restore();
      if (this.#options.loop) void this.#restored.then(() => this.#run());
    }
    return this.#restored;
  }

  /** Without a loop: polls, if it is time to. While one use polls, others go on with the list at hand, if there is one. */
  async poll(): Promise<void> {
    if (this.#options.loop) return;
    await this.start();
    const now = this.#clock.monotonic();
    if (now < this.#pollFrom) return;
    if (this.#heardAt !== undefined) this.#pollFrom = now + POLL_SECONDS[1] * 1_000;
    const seconds = await this.#step();
    this.#pollFrom = this.#clock.monotonic() + seconds * 1_000;
  }

  /** Ends the polling, and waits until the file is written. What is known stays. */
  close(): Promise<void> {
    this.#ends.abort();
    return this.#writing;
  }

  /** For how many seconds nothing was heard; without an end before the first answer. */
  silence(): number {
    return this.#heardAt === undefined
      ? Number.POSITIVE_INFINITY
      : (this.#clock.monotonic() - this.#heardAt) / 1_000;
  }

  /** Waits until the first poll was answered or has failed, or for so many milliseconds. */
  async firstTry(milliseconds: number): Promise<void> {
    if (this.#tried || milliseconds <= 0 || !this.#options.loop) return;
    const done = new AbortController();
    await Promise.race([
      new Promise<void>((resolve) => this.#waiting.push(resolve)),
      this.#clock.sleep(milliseconds, done.signal),
    ]);
    done.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#ends;
    while (!signal.aborted) {
      const seconds = await this.#step();
      if (seconds > 0 && !signal.aborted) await this.#clock.sleep(seconds * 1_000, signal);
    }
  }

  /** One poll. It returns the seconds until the next. */
  async #step(): Promise<number> {
    const asked = this.#clock.monotonic();
    const mayHold = this.#options.longPoll && this.#options.loop && asked >= this.#noWaitUntil;
    // The whole list is answered at once, so nothing is held for it.
    const whole = this.revocations.version === undefined || this.revocations.isIncomplete(this.#clock.now());
    const holds = mayHold && !whole && !this.#probing;
    try {
      const answer = await this.#poll(whole, holds);
      if (holds && REFUSES_WAIT.includes(answer.status)) {
        this.#noWaitUntil = this.#clock.monotonic() + TRY_WAIT_AGAIN_MS;
        return 0;
      }
      const news = this.#take(answer);
      this.#failures = 0;
      const probed = this.#noteAnswer(holds);
      this.#write(news !== 'none');
      if (mayHold && (news === 'news' || probed)) return NEWS_PAUSE_SECONDS;
      const wait = retryAfter(answer.headers, this.#clock.now());
      if (wait !== undefined) return retryPause(wait);
      const held = this.#clock.monotonic() - asked >= (WAIT_SECONDS - 1) * 1_000;
      return holds && held ? 0 : pollPause();
    } catch (error) {
      if (this.#ends.signal.aborted) return 0;
      this.#options.onError(error);
      this.#resume();
      if (holds) this.#noteCut(this.#clock.monotonic() - asked);
      const wait = error instanceof NoList ? error.retryAfter : undefined;
      const pause = Math.min(2 ** this.#failures, MAX_PAUSE_SECONDS);
      this.#failures = Math.min(this.#failures + 1, 10);
      return wait === undefined ? spread(pause) : retryPause(wait);
    }
  }

  /** A poll that was to be held has failed. In an outage those that are not held fail too, and prove nothing. */
  #noteCut(after: number): void {
    this.#cuts += 1;
    this.#probing = after >= CUT_AFTER_MS || this.#cuts > 1;
  }

  /** A poll was answered. It returns whether the next one may be held again. */
  #noteAnswer(held: boolean): boolean {
    const probed = this.#probing;
    this.#probing = false;
    if (held) this.#cuts = 0;
    if (!probed || this.#cuts < MAX_CUTS) return probed;
    this.#cuts = 0;
    this.#noWaitUntil = this.#clock.monotonic() + TRY_WAIT_AGAIN_MS;
    return false;
  }

  async #poll(whole: boolean, holds: boolean): Promise<Answer> {
    const { sending, metadata, report } = this.#options;
    const version = this.revocations.version;
    const url = new URL((await metadata.places()).revocations);
    url.searchParams.set('since', whole ? '0' : String(version));
    if (holds) url.searchParams.set('wait', String(WAIT_SECONDS));
    const headers = await report(version === undefined ? undefined : String(version));
    if (this.#etag !== undefined) headers['if-none-match'] = this.#etag;
    const timeout = holds ? (WAIT_SECONDS + LATE_SECONDS) * 1_000 : sending.timeout;
    const limits = { timeout, maxBytes: MAX_LIST_BYTES, signal: this.#ends.signal };
    return send(url.href, { headers }, { ...sending, ...limits });
  }

  /** Takes an answer. It says whether there was news, and throws if it is no list. */
  #take(answer: Answer): 'news' | 'none' | 'old' {
    const before = this.revocations.version;
    if (answer.status === 304 && before !== undefined) {
      this.#hear();
      return this.#etag === undefined ? 'none' : 'old';
    }
    const wait = retryAfter(answer.headers, this.#clock.now());
    if (answer.status !== 200) throw new NoList(`status ${answer.status}`, wait);
    const list = readList(answer.text);
    if (!list) throw new NoList('it is none');
    if ('old' in list) {
      this.revocations.applyOld(list.old);
      this.#etag = answer.headers.get('etag') ?? undefined;
      this.#hear();
      return 'old';
    }
    if (!this.revocations.apply(list.delta, this.#clock.now()))
      throw new NoList('it follows another version');
    this.#etag = undefined;
    this.#hear();
    return this.revocations.version === before ? 'none' : 'news';
  }

  #hear(): void {
    this.#heardAt = this.#clock.monotonic();
    this.#resume();
  }

  #resume(): void {
    this.#tried = true;
    for (const resume of this.#waiting.splice(0)) resume();
  }

  async #restore(): Promise<void> {
    const { file, issuer } = this.#options;
    const kept = file === undefined ? undefined : await readFile(file, issuer);
    if (!kept) return;
    const now = this.#clock.now();
    this.revocations.restore(kept.snapshot, now);
    // A file of the future says nothing of how long the server was silent.
    if (kept.heardAt <= now) {
      this.#hear();
      this.#heardAt = this.#clock.monotonic() - (now - kept.heardAt);
    }
  }

  #write(news: boolean): void {
    const { file, issuer, onError } = this.#options;
    const now = this.#clock.monotonic();
    if (file === undefined || (!news && now - this.#writtenAt < FILE_EVERY_MS)) return;
    const snapshot = this.revocations.snapshot();
    if (!snapshot) return;
    this.#writtenAt = now;
    const kept: Kept = { snapshot, heardAt: this.#clock.now() };
    this.#writing = this.#writing.then(() => writeFile(file, issuer, kept)).catch(onError);
  }
}

const spread = (seconds: number) => seconds * (1 + SPREAD * (2 * Math.random() - 1));

const retryPause = (seconds: number) =>
  spread(Math.min(Math.max(seconds, MIN_RETRY_AFTER_SECONDS), MAX_RETRY_AFTER_SECONDS));

const pollPause = () => POLL_SECONDS[0] + (POLL_SECONDS[1] - POLL_SECONDS[0]) * Math.random();
