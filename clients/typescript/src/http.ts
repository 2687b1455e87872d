// What all requests of the library have in common: an end in time, no redirects, and no secret in an error.

import type { Clock } from './clock.js';
import { Unavailable } from './errors.js';

/** The function that sends requests: the runtime's, or one that a caller gives. */
export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

export const systemFetch: Fetch = (input, init) => fetch(input, init);

/** Adds a path to a URL that may have a path, with or without a slash at its end. */
export function below(base: string, path: string): string {
  return base.replace(/\/+$/, '') + path;
}

/** A server's URL. It must be absolute, and have neither query nor fragment. */
export function serverUrl(name: string, value: string | undefined): string {
  const url = value === undefined ? undefined : parse(value);
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) {
    throw new TypeError(`${name} must be the server's http or https URL`);
  }
  return value as string;
}

function parse(value: string): URL | undefined {
  try {
    return new URL(value);
  } catch {
    return undefined;
  }
}

/** No other document of the server is longer than this, in bytes. */
const MAX_BYTES = 1_048_576;

class TooLong extends Error {}

/** An answer whose body has been read. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export interface Sending {
  readonly fetch: Fetch;
  readonly clock: Clock;
  /** Milliseconds until the whole answer must be there. */
  readonly timeout: number;
  /** The longest body that is read, in bytes and decoded; 1 MiB by default. */
  readonly maxBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Sends a request and reads the answer. Whatever goes wrong on the way is {@link Unavailable}: the error names the
 * URL and the cause, and nothing of the request. A redirect is an answer like any other, and never followed: it
 * could lead a secret elsewhere.
 */
export async function send(url: string, init: RequestInit, sending: Sending): Promise<Answer> {
  const ends = new AbortController();
  const answered = new AbortController();
  const abort = () => ends.abort();
  void sending.clock.sleep(sending.timeout, answered.signal).then(() => answered.signal.aborted || abort());
  sending.signal?.addEventListener('abort', abort);
  try {
    const response = await sending.fetch(url, { ...init, redirect: 'manual', signal: ends.signal });
    const text = await readText(response, sending.maxBytes ?? MAX_BYTES);
    return { status: response.status, headers: response.headers, text };
  } catch (cause) {
    if (cause instanceof TooLong) throw new Unavailable(`${url}: ${cause.message}`);
    const late = ends.signal.aborted && !sending.signal?.aborted;
    const why = late ? `no answer within ${sending.timeout / 1_000} s` : 'it cannot be reached';
    throw new Unavailable(`${url}: ${why}`, undefined, { cause: late ? undefined : cause });
  } finally {
    answered.abort();
    sending.signal?.removeEventListener('abort', abort);
  }
}

/** The body as text. A server, or whoever answers in its place, must not fill the memory. */
async function readText(response: Response, most: number): Promise<string> {
  const reader = response.body?.getReader();
  if (!reader) return '';
  const decoder = new TextDecoder();
  let text = '';
  let length = 0;
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    length += read.value.byteLength;
    if (length > most) {
      void reader.cancel().catch(() => undefined);
      throw new TooLong(`the answer is longer than ${most} bytes`);
    }
    text += decoder.decode(read.value, { stream: true });
  }
  return text + decoder.decode();
}

/** The seconds of a `Retry-After` (RFC 9110 §10.2.3), a number or a date; none where there is none. */
export function retryAfter(headers: Headers, now: number): number | undefined {
  const value = headers.get('retry-after')?.trim();
  if (!value) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value);
  const date = /^[A-Z][a-z]{2}, /.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1_000));
}

/** The JSON object of an answer; none where it is anything else. */
export function jsonObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
