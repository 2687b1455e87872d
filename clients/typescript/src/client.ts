import { type Clock, systemClock } from './clock.js';
import { type CredentialOptions, type CredentialSource, credentialSource, env } from './credentials.js';
import { authorizedFetch, type Call } from './fetch.js';
import { type Fetch, serverUrl, systemFetch } from './http.js';
import { INSPECT } from './runtime.js';
import { TokenSlots } from './slots.js';

export interface ClientOptions extends CredentialOptions {
  /** The server's URL. Without it, the environment's `SEALWRIGHT_URL`. */
  readonly baseUrl?: string | undefined;
  /** Milliseconds until the server must have answered. */
  readonly timeout?: number | undefined;
  /** What sends requests. */
  readonly fetch?: Fetch | undefined;
  /** What tells the time. */
  readonly clock?: Clock | undefined;
}

/** What a token is for. Every member is part of the key under which a token is kept. */
export interface TokenRequest {
  /** Scopes, as a list or separated by spaces. Without any, all that the agent is allowed. */
  readonly scope?: string | readonly string[] | undefined;
  /** The service that the token is for. */
  readonly audience?: string | readonly string[] | undefined;
  /** The same by RFC 8707: absolute URIs. */
  readonly resource?: string | readonly string[] | undefined;
}

export interface TokenOptions extends TokenRequest {
  /** Ends the wait of this caller, and of no other. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Gets an agent's tokens, and keeps each until it must be renewed. One for a process is enough: any number of callers
 * that want the same token cause one request.
 */
export class Client {
  readonly #baseUrl: string;
  readonly #slots: TokenSlots;
  readonly #credentials: CredentialSource;
  readonly #fetch: Fetch;

  constructor(options: ClientOptions = {}) {
    this.#baseUrl = serverUrl('baseUrl', options.baseUrl ?? env(options, 'SEALWRIGHT_URL'));
    this.#credentials = credentialSource(options);
    this.#fetch = options.fetch ?? systemFetch;
    this.#slots = new TokenSlots({
      baseUrl: this.#baseUrl,
      credentials: this.#credentials,
      fetch: this.#fetch,
      clock: options.clock ?? systemClock,
      timeout: options.timeout ?? 10_000,
    });
  }

  /** The server's URL. */
  get baseUrl(): string {
    return this.#baseUrl;
  }

  /**
   * A token that lives for 5 s more at least. It throws {@link InvalidClient}, {@link AgentSuspended},
   * {@link QuotaReached}, {@link ScopeDenied}, {@link RateLimited}, {@link InvalidRequest} or {@link Unavailable},
   * and the signal's reason when that is aborted.
   */
  async token(options: TokenOptions = {}): Promise<string> {
    options.signal?.throwIfAborted();
    return this.#slots.token(options, options.signal);
  }

  /**
   * The token to try once more after an API has answered this one with 401 `invalid_token`; none if there is no other,
   * and then the 401 is the caller's. It throws what {@link token} throws if the agent is refused.
   */
  async renewed(rejected: string, options: TokenOptions = {}): Promise<string | undefined> {
    options.signal?.throwIfAborted();
    return this.#slots.renewed(rejected, options, options.signal);
  }

  /** A `fetch` that sends a token with each request, and tries once more with another after a 401 `invalid_token`. */
  fetch(request: TokenRequest = {}): Call {
    return authorizedFetch(this, request, this.#fetch);
  }

  /** Neither a token nor a secret. */
  toJSON(): { baseUrl: string } {
    return { baseUrl: this.#baseUrl };
  }

  /** Neither a token nor a secret. */
  [INSPECT](): string {
    return `Client { baseUrl: '${this.#baseUrl}' }`;
  }
}
