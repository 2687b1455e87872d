// Where the issuer has its keys and its revocation list (RFC 8414).

import { Unavailable } from './errors.js';
import { below, jsonObject, type Sending, send } from './http.js';

export interface Places {
  readonly keys: string;
  readonly revocations: string;
}

/** Finds the places, and remembers them. */
export class Metadata {
  readonly #issuer: string;
  readonly #baseUrl: string;
  readonly #sending: Sending;
  #found: Promise<Places> | undefined;

  /** `baseUrl` is where the issuer is reached, if not under its own name. */
  constructor(issuer: string, baseUrl: string, sending: Sending) {
    this.#issuer = issuer;
    this.#baseUrl = baseUrl;
    this.#sending = sending;
  }

  places(): Promise<Places> {
    this.#found ??= this.#find().catch((error: unknown) => {
      this.#found = undefined;
      throw error;
    });
    return this.#found;
  }

  async #find(): Promise<Places> {
    const url = below(this.#baseUrl, '/.well-known/oauth-authorization-server');
    const answer = await send(url, { headers: { accept: 'application/json' } }, this.#sending);
    const told = answer.status === 200 ? jsonObject(answer.text) : undefined;
    if (!told) throw new Unavailable(`${url}: no metadata, status ${answer.status}`);
    // RFC 8414 §3.3.
    if (told['issuer'] !== this.#issuer)
      throw new Unavailable(`${url}: it is the metadata of another issuer`);
    return {
      keys: this.#reached(told['jwks_uri'], '/.well-known/jwks.json'),
      revocations: this.#reached(told['sealwright_revocation_list'], '/api/v1/token/revoked'),
    };
  }

  /** A URL of the metadata, as it is reached from here. */
  #reached(url: unknown, usual: string): string {
    if (typeof url !== 'string') return below(this.#baseUrl, usual);
    const issuer = this.#issuer.replace(/\/+$/, '');
    return url.startsWith(`${issuer}/`) ? below(this.#baseUrl, url.slice(issuer.length)) : url;
  }
}
