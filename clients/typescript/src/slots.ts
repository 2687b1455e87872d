// The tokens of one client: one slot for each different request, with one question under way for each at most.

import type { TokenRequest } from './client.js';
import type { Clock } from './clock.js';
import type { CredentialSource } from './credentials.js';
import {
  AgentSuspended,
  InvalidClient,
  QuotaReached,
  RateLimited,
  SealwrightError,
  Unavailable,
} from './errors.js';
import { type Answer, below, type Fetch, jsonObject, send } from './http.js';
import { refusal } from './refusals.js';

/** A token is not handed out in the last seconds of its life. */
const RESERVE_SECONDS = 5;
/** The part of its life after which a use renews a token, and by how much it differs from one token to the next. */
const RENEW_AT = 0.75;
const RENEW_SPREAD = 0.05;
/** After a failed try, and after a forced renewal, the seconds without another. */
const HOLD_SECONDS = 30;
const MAX_HOLD_SECONDS = 3_600;
/** With more slots than this, those that hold nothing any more are dropped. */
const MAX_SLOTS = 1_000;

export interface SlotOptions {
  readonly baseUrl: string;
  readonly credentials: CredentialSource;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly timeout: number;
}

/** A token and its times, by the monotonic clock in milliseconds. */
interface Held {
  readonly token: string;
  readonly renewAt: number;
  readonly usableUntil: number;
}

interface Failure {
  readonly error: SealwrightError;
  readonly holdsUntil: number;
}

interface Slot {
  readonly form: readonly (readonly [string, string])[];
  held: Held | undefined;
  failure: Failure | undefined;
  asking: Promise<Held> | undefined;
  /** Before this time no renewal is forced. */
  forceFrom: number;
}

export class TokenSlots {
  readonly #options: SlotOptions;
  readonly #slots = new Map<string, Slot>();
  /** A used-up quota is the agent's, so it holds for every slot. */
  #quota: Failure | undefined;

  constructor(options: SlotOptions) {
    this.#options = options;
  }

  token(request: TokenRequest, signal: AbortSignal | undefined): string | Promise<string> {
    const slot = this.#slot(request);
    const now = this.#options.clock.monotonic();
    const held = slot.held;
    if (held && now < held.usableUntil) {
      if (now >= held.renewAt && !slot.asking && !this.#holding(slot, now)) {
        // The live token is handed out meanwhile, whatever becomes of this.
        this.#ask(slot).catch(() => undefined);
      }
      return held.token;
    }
    return this.#asked(slot, now, signal);
  }

  async renewed(
    rejected: string,
    request: TokenRequest,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const slot = this.#slot(request);
    const now = this.#options.clock.monotonic();
    if (!slot.held || now >= slot.held.usableUntil) return this.#asked(slot, now, signal);
    if (slot.held.token !== rejected) return slot.held.token;
    if (!slot.asking) {
      if (now < slot.forceFrom || this.#holding(slot, now)) return undefined;
      slot.forceFrom = now + HOLD_SECONDS * 1_000;
    }
    try {
      const { token } = await waitFor(slot.asking ?? this.#ask(slot), signal);
      return token === rejected ? undefined : token;
    } catch (error) {
      if (error instanceof InvalidClient || error instanceof AgentSuspended) {
        if (slot.held?.token === rejected) slot.held = undefined;
        throw error;
      }
      if (error instanceof SealwrightError) return undefined;
      throw error;
    }
  }

  async #asked(slot: Slot, now: number, signal: AbortSignal | undefined): Promise<string> {
    if (!slot.asking) {
      const failure = this.#holding(slot, now);
      if (failure) throw failure.error;
    }
    return (await waitFor(slot.asking ?? this.#ask(slot), signal)).token;
  }

  /** The failure for which nobody is asked yet. */
  #holding(slot: Slot, now: number): Failure | undefined {
    if (this.#quota && now < this.#quota.holdsUntil) return this.#quota;
    return slot.failure && now < slot.failure.holdsUntil ? slot.failure : undefined;
  }

  /** Asks for a token. No caller owns the question, so none cancels it. */
  #ask(slot: Slot): Promise<Held> {
    const asking = this.#request(slot)
      .then(
        (held) => {
          slot.failure = undefined;
          slot.held = held;
          return held;
        },
        (cause: unknown) => {
          const error =
            cause instanceof SealwrightError ? cause : new Unavailable('no token', undefined, { cause });
          const failure = {
            error,
            holdsUntil: this.#options.clock.monotonic() + holdMilliseconds(error, this.#options.clock),
          };
          if (error instanceof QuotaReached) this.#quota = failure;
          slot.failure = failure;
          throw error;
        },
      )
      .finally(() => {
        slot.asking = undefined;
      });
    slot.asking = asking;
    return asking;
  }

  async #request(slot: Slot): Promise<Held> {
    const { baseUrl, credentials, clock } = this.#options;
    const proven = await credentials();
    const asked = clock.monotonic();
    const form = new URLSearchParams([
      ['grant_type', 'client_credentials'],
      ...proven.map(([name, value]) => [name, value]),
      ...slot.form.map(([name, value]) => [name, value]),
    ] as string[][]);
    const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
    const init = { method: 'POST', headers, body: form.toString() };
    const proof = form.get('client_secret') ?? form.get('client_assertion') ?? '';
    return read(await send(below(baseUrl, '/oauth/token'), init, this.#options), asked, clock, proof);
  }

  #slot(request: TokenRequest): Slot {
    const form = formOf(request);
    const key = JSON.stringify(form);
    let slot = this.#slots.get(key);
    if (!slot) {
      if (this.#slots.size >= MAX_SLOTS) this.#sweep();
      slot = { form, held: undefined, failure: undefined, asking: undefined, forceFrom: 0 };
      this.#slots.set(key, slot);
    }
    return slot;
  }

  #sweep(): void {
    const now = this.#options.clock.monotonic();
    for (const [key, { held, failure, asking }] of this.#slots) {
      const idle = !asking && now >= (held?.usableUntil ?? 0) && now >= (failure?.holdsUntil ?? 0);
      if (idle) this.#slots.delete(key);
    }
  }
}

/** The parameters of a request: scopes in one, audiences and resources in one each. */
function formOf({ scope, audience, resource }: TokenRequest): [string, string][] {
  const list = (value: string | readonly string[] | undefined) =>
    value === undefined ? [] : typeof value === 'string' ? [value] : value;
  const form: [string, string][] = [];
  const scopes = list(scope).join(' ');
  if (scopes) form.push(['scope', scopes]);
  for (const value of list(audience)) form.push(['audience', value]);
  for (const value of list(resource)) form.push(['resource', value]);
  return form;
}

/**
 * The token of an answer. `asked` is the time before the request, from which its life is counted; no error shows
 * `proof`, which the client has sent.
 */
function read(answer: Answer, asked: number, clock: Clock, proof: string): Held {
  if (answer.status !== 200) throw refusal(answer, clock.now(), proof);
  const { access_token, token_type, expires_in } = jsonObject(answer.text) ?? {};
  const isToken =
    typeof access_token === 'string' &&
    /^[\x21-\x7e]+$/.test(access_token) &&
    typeof token_type === 'string' &&
    token_type.toLowerCase() === 'bearer' &&
    typeof expires_in === 'number' &&
    Number.isFinite(expires_in) &&
    expires_in > 0;
  if (!isToken)
    throw new Unavailable('the token endpoint answered 200 without a token', undefined, { status: 200 });
  const renewAt = RENEW_AT + RENEW_SPREAD * (2 * Math.random() - 1);
  return {
    token: access_token,
    renewAt: asked + expires_in * renewAt * 1_000,
    usableUntil: asked + (expires_in - RESERVE_SECONDS) * 1_000,
  };
}

function holdMilliseconds(error: SealwrightError, clock: Clock): number {
  if (error instanceof QuotaReached && error.resetsAt)
    return Math.max(0, error.resetsAt.getTime() - clock.now());
  const told = error instanceof RateLimited || error instanceof Unavailable ? error.retryAfter : undefined;
  return Math.min(Math.max(told ?? HOLD_SECONDS, 1), MAX_HOLD_SECONDS) * 1_000;
}

/** Waits for a question that others may wait for too, until it is answered or this caller's signal is aborted. */
function waitFor<T>(question: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return question;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    question.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
