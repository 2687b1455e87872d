// What a token says: its header before the signature is checked, its claims afterwards. Nothing here waits.

import { decodeBase64url, isBase64url } from './base64url.js';
import { InvalidToken } from './errors.js';
import { strictObject } from './json.js';

/** The longest token that is looked at, in bytes. */
const MAX_TOKEN_BYTES = 8_192;

/** What a verified token says. Its values are frozen, since several callers may get the same. */
export interface Claims {
  /** The agent. */
  readonly clientId: string;
  /** On whose behalf: the agent itself, or a user. */
  readonly sub: string;
  readonly scopes: readonly string[];
  readonly aud: readonly string[];
  readonly iss: string;
  readonly jti: string;
  /** The epoch of the agent in which it was issued. */
  readonly epoch: number;
  /** When it was issued and when it ends, in seconds since 1970. */
  readonly iat: number;
  readonly exp: number;
  /** Whether it carries a scope that changes something. */
  readonly highRisk: boolean;
  /** All claims, as they are written in the token. */
  readonly payload: Readonly<Record<string, unknown>>;
}

/** The id of the key that the header names. It refuses a header that is not that of an access token of this server. */
export function readHeader(token: string, typ: string): string {
  // JavaScript passes whatever a request lacks as undefined.
  if (typeof token !== 'string') throw malformed('it is no text');
  if (token.length > MAX_TOKEN_BYTES) throw new InvalidToken('malformed', 'the token is too long');
  const parts = token.split('.');
  if (parts.length !== 3 || !parts.every(isBase64url)) throw malformed('it is not three parts of base64url');
  const header = strictObject(utf8(decodeBase64url(parts[0] as string)));
  if (!header) throw malformed('its header is no JSON object, repeats a member, or is nested too deeply');
  if (header['alg'] !== 'RS256') throw new InvalidToken('algorithm', 'the token is not signed with RS256');
  if (!isType(header['typ'], typ)) throw new InvalidToken('type', `the token is not of the type ${typ}`);
  if ('crit' in header || 'b64' in header) {
    throw new InvalidToken('critical', 'the token demands an extension that nobody here knows');
  }
  const { kid } = header;
  if (typeof kid !== 'string' || !kid) throw new InvalidToken('key', 'the token names no key');
  return kid;
}

/** The claims of a payload whose signature is good. Whether they are right for anybody, {@link judge} says. */
export function readClaims(bytes: Uint8Array): Claims {
  const payload = strictObject(utf8(bytes));
  if (!payload) throw malformed('its payload is no JSON object, repeats a member, or is nested too deeply');
  const {
    iss,
    sub,
    aud,
    client_id,
    jti,
    epoch,
    iat,
    exp,
    nbf,
    scope = '',
    risk = '',
    org_id,
    org_epoch,
  } = payload;
  const audience = typeof aud === 'string' ? [aud] : aud;
  const right =
    typeof iss === 'string' &&
    isId(sub) &&
    isId(client_id) &&
    isId(jti) &&
    [epoch, iat, exp].every(isWhole) &&
    (nbf === undefined || isWhole(nbf)) &&
    (org_id === undefined || isId(org_id)) &&
    (org_epoch === undefined || isWhole(org_epoch)) &&
    typeof scope === 'string' &&
    typeof risk === 'string' &&
    Array.isArray(audience) &&
    audience.every((value) => typeof value === 'string');
  if (!right) throw new InvalidToken('claims', 'a claim of the token is missing, or of another type');
  return Object.freeze({
    clientId: client_id as string,
    sub: sub as string,
    scopes: Object.freeze(scope.split(' ').filter((word) => word)),
    aud: Object.freeze([...audience]),
    iss,
    jti: jti as string,
    epoch: epoch as number,
    iat: iat as number,
    exp: exp as number,
    highRisk: risk === 'high',
    payload: frozen(payload),
  });
}

/** Refuses a token of another issuer, for another audience, or of another time. `now` is in milliseconds. */
export function judge(claims: Claims, issuer: string, audience: string, now: number): void {
  if (claims.iss !== issuer) throw new InvalidToken('issuer', 'the token is of another issuer');
  if (!claims.aud.includes(audience)) throw new InvalidToken('audience', 'the token is for another audience');
  judgeTime(claims, now);
}

/** The part of {@link judge} that changes with time. There is no leeway. */
export function judgeTime(claims: Claims, now: number): void {
  const second = Math.floor(now / 1_000);
  if (second >= claims.exp) throw new InvalidToken('expired', 'the token has expired');
  const nbf = (claims.payload['nbf'] as number | undefined) ?? 0;
  if (second < claims.iat || second < nbf)
    throw new InvalidToken('not_yet_valid', 'the token is of the future');
}

/** The same value, in which nothing can be changed any more. */
function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const inside of Object.values(value)) frozen(inside);
  return Object.freeze(value);
}

const malformed = (why: string) => new InvalidToken('malformed', `the token is malformed: ${why}`);

/** RFC 9068 §4 and RFC 7515 §4.1.9: without regard to letter case, with `application/` or without. */
function isType(value: unknown, typ: string): boolean {
  return typeof value === 'string' && value.toLowerCase().replace(/^application\//, '') === typ.toLowerCase();
}

const isId = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function utf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw malformed('it is not UTF-8');
  }
}
