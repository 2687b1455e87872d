// The issuer's public keys.

import { type CryptoKey, importJWK, type JWK } from 'jose';
import { decodeBase64url, isBase64url } from './base64url.js';
import { InvalidToken, Unavailable } from './errors.js';
import { jsonObject, type Sending, send } from './http.js';
import type { Metadata } from './metadata.js';

/** For unknown keys, the set is fetched at most this often. */
const UNKNOWN_KEY_PAUSE_MS = 30_000;
/**
 * How long after the set was found to lack a key it is fetched once more: a replica may learn of a new key a second late.
 */
const SECOND_LOOK_AFTER_MS = 1_200;
/** A set that is older is fetched anew beside the next use, so that a key that was withdrawn is dropped. */
const MAX_AGE_MS = 300_000;
/** While there are no keys at all, they are asked for at most this often. */
const FAILURE_PAUSE_MS = 1_000;
/** The shortest and the longest modulus, in bits, and the greatest exponent. */
const MIN_MODULUS_BITS = 2_048;
const MAX_MODULUS_BITS = 16_384;
const MAX_EXPONENT = 2 ** 31 - 1;

/** A key as it was published, and as it is used. */
interface Published {
  readonly n: string;
  readonly e: string;
  readonly key: CryptoKey;
}

export class Keys {
  readonly #metadata: Metadata;
  readonly #sending: Sending;
  #keys: ReadonlyMap<string, Published> | undefined;
  #fetching: Promise<void> | undefined;
  /** While an unknown key is looked for. */
  #looking: Promise<void> | undefined;
  /** When the set was asked for, by the monotonic clock. */
  #askedAt = 0;
  #soughtAt = Number.NEGATIVE_INFINITY;
  #failure: Unavailable | undefined;

  constructor(metadata: Metadata, sending: Sending) {
    this.#metadata = metadata;
    this.#sending = sending;
  }

  /** Whether this key is still the one of this name. */
  holds(kid: string, key: CryptoKey): boolean {
    this.#refresh();
    return this.#keys?.get(kid)?.key === key;
  }

  /**
   * The key of this name. A name that the issuer does not publish is the token's fault; while nobody can say whether it
   * does, {@link Unavailable} is thrown.
   */
  async get(kid: string): Promise<CryptoKey> {
    const { clock } = this.#sending;
    const first = !this.#keys;
    if (first) {
      const asked = clock.monotonic() - this.#askedAt < FAILURE_PAUSE_MS;
      if (this.#failure && !this.#fetching && asked) throw this.#failure;
      await this.#fetch();
    }
    this.#refresh();
    const held = this.#keys?.get(kid);
    if (held) return held.key;
    if (!this.#looking && clock.monotonic() - this.#soughtAt >= UNKNOWN_KEY_PAUSE_MS) {
      this.#looking = this.#look(kid, first).finally(() => {
        this.#looking = undefined;
      });
    }
    await (this.#looking ?? this.#fetching);
    const found = this.#keys?.get(kid);
    if (found) return found.key;
    if (this.#failure) throw this.#failure;
    throw new InvalidToken('key', 'the token is signed by a key that its issuer does not publish');
  }

  /** Fetches the set because it lacks a key, and once more if it still does. One that is `fresh` was fetched for this. */
  async #look(kid: string, fresh: boolean): Promise<void> {
    const { clock } = this.#sending;
    this.#soughtAt = clock.monotonic();
    if (!fresh) await this.#fetch();
    if (this.#failure || this.#keys?.has(kid)) return;
    await clock.sleep(SECOND_LOOK_AFTER_MS);
    this.#soughtAt = clock.monotonic();
    await this.#fetch();
  }

  #refresh(): void {
    const { clock } = this.#sending;
    if (this.#keys && !this.#fetching && clock.monotonic() - this.#askedAt >= MAX_AGE_MS) {
      // The keys at hand are kept through an outage.
      this.#fetch().catch(() => undefined);
    }
  }

  #fetch(): Promise<void> {
    this.#fetching ??= this.#ask().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #ask(): Promise<void> {
    const { clock } = this.#sending;
    this.#askedAt = clock.monotonic();
    try {
      const { keys: url } = await this.#metadata.places();
      const answer = await send(url, { headers: { accept: 'application/json' } }, this.#sending);
      const keys = answer.status === 200 ? jsonObject(answer.text)?.['keys'] : undefined;
      if (!Array.isArray(keys)) throw new Unavailable(`${url}: no keys, status ${answer.status}`);
      const found = await importKeys(keys, this.#keys);
      if (found.size === 0) throw new Unavailable(`${url}: no key that can be used`);
      this.#keys = found;
      this.#failure = undefined;
    } catch (cause) {
      const { message } = cause as Error;
      this.#failure = new Unavailable(`the keys cannot be had: ${message}`, undefined, { cause });
      if (!this.#keys) throw this.#failure;
    }
  }
}

/**
 * The keys that may sign tokens; others are passed over. Of two with one name the first counts. One that was there before
 * stays the same object.
 */
async function importKeys(
  keys: readonly unknown[],
  before: ReadonlyMap<string, Published> | undefined,
): Promise<ReadonlyMap<string, Published>> {
  const found = new Map<string, Published>();
  for (const jwk of keys as readonly (JWK | null)[]) {
    const { kty, kid, n, e, use = 'sig', alg = 'RS256' } = jwk ?? {};
    const signs =
      kty === 'RSA' && use === 'sig' && alg === 'RS256' && typeof n === 'string' && typeof e === 'string';
    if (!signs || typeof kid !== 'string' || found.has(kid) || !isSound(n, e)) continue;
    const known = before?.get(kid);
    const same = known?.n === n && known.e === e;
    const key = same ? known.key : await imported({ kty, n, e, alg });
    if (key) found.set(kid, { n, e, key });
  }
  return found;
}

/** A key that the runtime does not take must not hide the others. */
async function imported(jwk: JWK): Promise<CryptoKey | undefined> {
  try {
    return (await importJWK(jwk, 'RS256')) as CryptoKey;
  } catch {
    return undefined;
  }
}

/** Whether modulus and exponent are numbers that an RSA key of the server can have. */
function isSound(n: string, e: string): boolean {
  const [modulus, exponent] = [n, e].map(wholeNumber);
  if (!modulus || !exponent || exponent.length > 4) return false;
  const bits = modulus.length * 8 - Math.clz32(modulus[0] as number) + 24;
  const value = exponent.reduce((value, byte) => value * 256 + byte, 0);
  return (
    bits >= MIN_MODULUS_BITS &&
    bits <= MAX_MODULUS_BITS &&
    value % 2 === 1 &&
    value >= 3 &&
    value <= MAX_EXPONENT
  );
}

/** The bytes of a number (RFC 7518 §2), without zeros at the front; none where it is no base64url, or zero. */
function wholeNumber(text: string): Uint8Array | undefined {
  if (!isBase64url(text)) return undefined;
  const bytes = decodeBase64url(text);
  const first = bytes.findIndex((byte) => byte !== 0);
  return first < 0 ? undefined : bytes.subarray(first);
}
