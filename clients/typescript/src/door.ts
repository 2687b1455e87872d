// What every door does: takes the token of a request, and words the refusal as RFC 6750 has it.

import { InsufficientScope, InvalidToken, Unavailable } from './errors.js';
import type { Claims } from './token.js';
import type { Verifier } from './verifier.js';

/** What a request must bring. */
export interface Demand {
  /** Scopes that its token must all carry. */
  readonly scopes?: readonly string[] | undefined;
  /** Where the metadata of this resource is (RFC 9728), for clients that ask there how to get a token. */
  readonly resourceMetadata?: string | undefined;
}

/** Why a request may not pass: an answer to send. */
export interface Refusal {
  readonly status: 401 | 403 | 503;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON. */
  readonly body: string;
}

/** A request may pass, with the claims of its token, or it may not. */
export type Decision =
  | { readonly token: string; readonly claims: Claims; readonly refusal?: undefined }
  | { readonly refusal: Refusal };

/** The seconds after which to try again, where nobody said. */
const RETRY_AFTER_SECONDS = 5;

/**
 * Decides by the `Authorization` header of a request. For other frameworks than those that have a door of their own.
 */
export async function decide(
  verifier: Verifier,
  authorization: string | null | undefined,
  demand: Demand = {},
): Promise<Decision> {
  const token = /^bearer(?: +(.*))?$/is.exec(authorization?.trim() ?? '');
  if (!token) return { refusal: refuse(401, demand, 'a token is needed') };
  try {
    const claims = await verifier.verifyScope(token[1] ?? '', ...(demand.scopes ?? []));
    return { token: token[1] as string, claims };
  } catch (error) {
    if (error instanceof InvalidToken)
      return { refusal: refuse(401, demand, error.message, 'invalid_token') };
    if (error instanceof InsufficientScope) {
      return { refusal: refuse(403, demand, error.message, 'insufficient_scope') };
    }
    if (!(error instanceof Unavailable)) throw error;
    // It is no 401: with that a client would throw a good token away.
    const seconds = Math.max(1, Math.ceil(error.retryAfter ?? RETRY_AFTER_SECONDS));
    const body = { error: 'temporarily_unavailable', error_description: 'Tokens cannot be verified now.' };
    return { refusal: answer(503, { 'retry-after': String(seconds) }, body) };
  }
}

function refuse(status: 401 | 403, demand: Demand, description: string, error?: string): Refusal {
  const { scopes = [], resourceMetadata } = demand;
  const parameters: [string, string | undefined][] = [
    ['error', error],
    ['error_description', error && description],
    // RFC 6750 §3: the scope that is necessary. Where it is not what is missing, it tells whom to ask for a token.
    ['scope', status === 403 || resourceMetadata ? scopes.join(' ') || undefined : undefined],
    ['resource_metadata', resourceMetadata],
  ];
  const told = parameters.flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}="${quoted(value)}"`],
  );
  const challenge = told.length > 0 ? `Bearer ${told.join(', ')}` : 'Bearer';
  const body = { error: error ?? 'unauthorized', error_description: description };
  return answer(status, { 'www-authenticate': challenge }, body);
}

function answer(status: Refusal['status'], headers: Record<string, string>, body: unknown): Refusal {
  const all = { ...headers, 'cache-control': 'no-store', 'content-type': 'application/json' };
  return { status, headers: all, body: JSON.stringify(body) };
}

/** The characters that RFC 6750 §3 allows in a parameter. */
const quoted = (value: string) => value.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, ' ');
