/**
 * A door for Express, and for whatever else calls `(request, response, next)` with the objects of `node:http`.
 *
 * @module
 */

import { type Demand, decide, type Refusal } from './door.js';
import type { Claims } from './token.js';
import type { Verifier } from './verifier.js';

/** The part of a request that is read. */
export interface IncomingRequest {
  readonly headers: { readonly authorization?: string | undefined };
}

/** The part of a response that is written. */
export interface OutgoingResponse {
  writeHead(status: number, headers: Record<string, string>): unknown;
  end(body: string): unknown;
}

export type Next = (error?: unknown) => void;
export type Middleware = (request: IncomingRequest, response: OutgoingResponse, next: Next) => Promise<void>;

const passed = new WeakMap<IncomingRequest, Claims>();

/** Lets a request pass whose token is good and carries the scopes. Others get 401, 403 or 503. */
export function protect(verifier: Verifier, ...scopes: readonly string[]): Middleware {
  return protectWith(verifier, { scopes }, (request, claims) => passed.set(request, claims));
}

/** {@link protect} with all that can be demanded, and with what happens to a request that passes. */
export function protectWith(
  verifier: Verifier,
  demand: Demand,
  pass: (request: IncomingRequest, claims: Claims, token: string) => void,
): Middleware {
  return async (request, response, next) => {
    try {
      const decision = await decide(verifier, request.headers.authorization, demand);
      if (decision.refusal) return refuse(response, decision.refusal);
      pass(request, decision.claims, decision.token);
    } catch (error) {
      return next(error);
    }
    next();
  };
}

/** What the token of a request says that {@link protect} has let pass. */
export function claims(request: IncomingRequest): Claims {
  const found = passed.get(request);
  if (!found) throw new TypeError('the request came through no door: put protect() before its handler');
  return found;
}

function refuse(response: OutgoingResponse, { status, headers, body }: Refusal): void {
  response.writeHead(status, headers);
  response.end(body);
}
