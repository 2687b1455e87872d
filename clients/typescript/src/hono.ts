/**
 * A door for Hono.
 *
 * @module
 */

import { decide, type Refusal } from './door.js';
import type { Claims } from './token.js';
import type { Verifier } from './verifier.js';

/** What the door adds to a context: `new Hono<{ Variables: ClaimsVariables }>()`. */
export interface ClaimsVariables {
  claims: Claims;
}

/** The part of a context that is used. */
export interface HonoContext {
  readonly req: { header(name: string): string | undefined };
  set(key: string, value: unknown): void;
}

/** Lets a request pass whose token is good and carries the scopes, with `claims` in its context. Others get 401, 403 or 503. */
export function protect(verifier: Verifier, ...scopes: readonly string[]) {
  return async (context: HonoContext, next: () => Promise<void>): Promise<Response | undefined> => {
    const decision = await decide(verifier, context.req.header('authorization'), { scopes });
    if (decision.refusal) return response(decision.refusal);
    context.set('claims', decision.claims);
    await next();
    return undefined;
  };
}

const response = ({ status, headers, body }: Refusal) => new Response(body, { status, headers });
