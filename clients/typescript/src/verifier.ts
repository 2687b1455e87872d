import { type CryptoKey, compactVerify } from 'jose';
import type { Client } from './client.js';
import { type Clock, systemClock } from './clock.js';
import { InsufficientScope, InvalidToken, Unavailable } from './errors.js';
import { Feed } from './feed.js';
import { type Fetch, type Sending, serverUrl, systemFetch } from './http.js';
import { Keys } from './keys.js';
import { Metadata } from './metadata.js';
import { type Reporter, reporter } from './reporter.js';
import { agentHash, type Version } from './revocations.js';
import { INSPECT } from './runtime.js';
import { type Claims, judge, judgeTime, readClaims, readHeader } from './token.js';

/** How many verified tokens are remembered, and how many agents. */
const MAX_SEEN = 10_000;

export interface VerifierOptions {
  /** The server's `token.issuer`: its URL as tokens name it. */
  readonly issuer: string;
  /** The audience of this service. A token for another is refused. */
  readonly audience: string;
  /** Where the server is reached, if not at the issuer's URL. */
  readonly baseUrl?: string | undefined;
  /** The server's `token.typ`; `at+jwt` by default. */
  readonly typ?: string | undefined;
  /**
   * After how many seconds without a word of the server high-risk tokens are {@link Unavailable}, and after how many all
   * tokens are; `[60, 900]` by default.
   */
  readonly staleAfter?: readonly [highRisk: number, all: number] | undefined;
  /** `accept`: after that time tokens are judged by the last list all the same. */
  readonly whenStale?: 'refuse' | 'accept' | undefined;
  /** A file that keeps the revocation list, so that a restart during an outage knows it. */
  readonly cacheFile?: string | undefined;
  /** `false`: the list is polled every 15 s, for networks in which no request can be held. */
  readonly longPoll?: boolean | undefined;
  /**
   * `false`: nothing happens between two uses. Every 15 s the use of a token polls the list first. For workers, which end
   * or freeze what goes on after a request.
   */
  readonly background?: boolean | undefined;
  /** Proves who reports what this verifier enforces. Without one its reports never count. */
  readonly client?: Client | undefined;
  /** The name under which it reports, and that of this process; by default the audience, and a random one. */
  readonly name?: string | undefined;
  readonly instance?: string | undefined;
  /** Milliseconds that the first `verify` waits for the first list. */
  readonly startTimeout?: number | undefined;
  /** Learns of each poll that fails. */
  readonly onError?: ((error: unknown) => void) | undefined;
  /** Milliseconds until the server must have answered what it does not hold. */
  readonly timeout?: number | undefined;
  readonly fetch?: Fetch | undefined;
  readonly clock?: Clock | undefined;
}

/** A token whose signature was checked. */
interface Seen {
  readonly claims: Claims;
  readonly kid: string;
  readonly key: CryptoKey;
  readonly agent: string;
}

/**
 * Verifies tokens without asking anybody: the signature and the claims with the issuer's published keys, and revocation
 * with a list that is kept current. One for a process.
 */
export class Verifier {
  readonly issuer: string;
  readonly audience: string;
  readonly #typ: string;
  readonly #staleAfter: readonly [number, number];
  readonly #acceptsStale: boolean;
  readonly #startTimeout: number;
  readonly #background: boolean;
  readonly #clock: Clock;
  readonly #keys: Keys;
  readonly #feed: Feed;
  readonly #seen = new Map<string, Seen>();
  readonly #agents = new Map<string, string>();

  constructor(options: VerifierOptions) {
    this.issuer = serverUrl('issuer', options.issuer);
    if (typeof options.audience !== 'string' || !options.audience)
      throw new TypeError('audience must be a text');
    this.audience = options.audience;
    this.#typ = options.typ ?? 'at+jwt';
    this.#staleAfter = options.staleAfter ?? [60, 900];
    this.#acceptsStale = options.whenStale === 'accept';
    this.#startTimeout = options.startTimeout ?? 5_000;
    this.#background = options.background ?? true;
    this.#clock = options.clock ?? systemClock;
    const sending: Sending = {
      fetch: options.fetch ?? systemFetch,
      clock: this.#clock,
      timeout: options.timeout ?? 10_000,
    };
    const baseUrl = serverUrl('baseUrl', options.baseUrl ?? this.issuer);
    const metadata = new Metadata(this.issuer, baseUrl, sending);
    const report: Reporter = reporter(options);
    this.#keys = new Keys(metadata, sending);
    this.#feed = new Feed({
      issuer: this.issuer,
      metadata,
      sending,
      file: options.cacheFile,
      longPoll: options.longPoll ?? true,
      loop: this.#background,
      report,
      onError: options.onError ?? (() => undefined),
    });
  }

  /** Begins to keep the list, and waits for the first. A service may call it before its first request; `verify` does. */
  async start(): Promise<void> {
    await this.#feed.start();
    await this.#feed.firstTry(this.#startTimeout);
    await this.#feed.poll();
  }

  /** Ends the polling, so that the process can end. */
  close(): Promise<void> {
    return this.#feed.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The version of the revocation list that is enforced; none before the first list. */
  get version(): Version | undefined {
    return this.#feed.revocations.version;
  }

  /** For how many seconds the server was silent; `Infinity` before its first answer. */
  get silence(): number {
    return this.#feed.silence();
  }

  /**
   * What a token says. It throws {@link InvalidToken} if the token is worth nothing, which is a 401, and
   * {@link Unavailable} if nobody can tell, which is a 503.
   */
  async verify(token: string): Promise<Claims> {
    const seen = this.#remembered(token) ?? (await this.#check(token));
    if (!this.#background) await this.#feed.poll();
    const { claims } = seen;
    const { revocations } = this.#feed;
    judgeTime(claims, this.#clock.now());
    if (revocations.has(claims, seen.kid, seen.agent))
      throw new InvalidToken('revoked', 'the token was revoked');
    this.#demandNews(claims);
    return claims;
  }

  /** {@link verify}, and {@link InsufficientScope} if the token lacks one of the scopes. */
  async verifyScope(token: string, ...scopes: readonly string[]): Promise<Claims> {
    const claims = await this.verify(token);
    const lacking = scopes.filter((scope) => !claims.scopes.includes(scope));
    if (lacking.length > 0) throw new InsufficientScope(lacking.join(' '));
    return claims;
  }

  /** A token that was checked before, while its key is still the issuer's. */
  #remembered(token: string): Seen | undefined {
    const seen = this.#seen.get(token);
    if (!seen || this.#keys.holds(seen.kid, seen.key)) return seen;
    this.#seen.delete(token);
    return undefined;
  }

  async #check(token: string): Promise<Seen> {
    const kid = readHeader(token, this.#typ);
    await this.#feed.start();
    const key = await this.#keys.get(kid);
    const claims = readClaims(await signedPayload(token, key));
    judge(claims, this.issuer, this.audience, this.#clock.now());
    const seen = { claims, kid, key, agent: await this.#agent(claims.clientId) };
    await this.#feed.firstTry(this.#startTimeout);
    this.#remember(token, seen);
    return seen;
  }

  /** An agent as the list names it. Its tokens come one after another, and a digest costs as much as half a signature. */
  async #agent(clientId: string): Promise<string> {
    let agent = this.#agents.get(clientId);
    if (agent === undefined) {
      agent = await agentHash(clientId);
      if (this.#agents.size >= MAX_SEEN) this.#agents.clear();
      this.#agents.set(clientId, agent);
    }
    return agent;
  }

  #remember(token: string, seen: Seen): void {
    if (this.#seen.size >= MAX_SEEN) {
      // The oldest goes, and with it those that have expired.
      const second = this.#clock.now() / 1_000;
      let first = true;
      for (const [other, { claims }] of this.#seen) {
        if (first || claims.exp <= second) this.#seen.delete(other);
        first = false;
      }
    }
    this.#seen.set(token, seen);
  }

  /** Refuses to judge by a list that is too old. An outage is no verdict on a token. */
  #demandNews(claims: Claims): void {
    const silence = this.#feed.silence();
    const { revocations } = this.#feed;
    if (revocations.version === undefined) throw new Unavailable('the revocation list cannot be had');
    if (revocations.mayHaveForgotten(claims))
      throw new Unavailable('the revocation list must be fetched anew');
    const [highRisk, all] = this.#staleAfter;
    if (silence >= (claims.highRisk ? Math.min(highRisk, all) : all) && !this.#acceptsStale) {
      throw new Unavailable('the revocation list is too old');
    }
  }

  /** Neither tokens nor keys. */
  toJSON(): { issuer: string; audience: string; version: Version | null } {
    return { issuer: this.issuer, audience: this.audience, version: this.version ?? null };
  }

  /** Neither tokens nor keys. */
  [INSPECT](): string {
    return `Verifier { issuer: '${this.issuer}', audience: '${this.audience}', version: ${this.version} }`;
  }
}

async function signedPayload(token: string, key: CryptoKey): Promise<Uint8Array> {
  try {
    return (await compactVerify(token, key, { algorithms: ['RS256'] })).payload;
  } catch {
    throw new InvalidToken('signature', 'the signature of the token is wrong');
  }
}
