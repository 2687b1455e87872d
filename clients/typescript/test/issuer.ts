// An issuer in memory: it signs tokens, publishes its keys, and tells what it has revoked, by long poll too.

import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { type Clock, systemClock } from '../src/clock.js';
import { response } from './fakes.js';

export const ISSUER = 'https://auth.example';
export const AUDIENCE = 'https://api.example';

interface Key {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly jwk: Record<string, unknown>;
}

export class Issuer {
  readonly #clock: Clock;
  readonly #url: string;
  #keys: Key[] = [];
  #revoked: { jti: string; exp: number }[] = [];
  #version = 1;
  #held: (() => void)[] = [];
  #ids = 0;
  /** Nothing answers. */
  away = false;
  /** How often each document was asked for. */
  readonly asked = { metadata: 0, keys: 0, list: 0 };

  private constructor(clock: Clock, url: string) {
    this.#clock = clock;
    this.#url = url;
  }

  static async make(clock: Clock = systemClock, url: string = ISSUER): Promise<Issuer> {
    const issuer = new Issuer(clock, url);
    await issuer.rotate();
    return issuer;
  }

  /** A new key signs, and the earlier ones stay published unless they are dropped. */
  async rotate(keep: 'keep' | 'drop' = 'keep'): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair('RS256');
    const kid = `key-${this.#keys.length}-${this.#ids}`;
    const jwk = { ...(await exportJWK(publicKey)), kid, use: 'sig', alg: 'RS256' };
    this.#keys = [{ kid, privateKey, jwk }, ...(keep === 'keep' ? this.#keys : [])];
  }

  async token(claims: Record<string, unknown> = {}, lifetime = 600): Promise<string> {
    const [{ kid, privateKey }] = this.#keys as [Key];
    const iat = Math.floor(this.#clock.now() / 1_000);
    this.#ids += 1;
    const jti = `jti-${this.#ids}`;
    const usual = {
      iss: this.#url,
      aud: AUDIENCE,
      sub: 'reporter',
      client_id: 'reporter',
      scope: 'db:read',
      epoch: 1,
    };
    return new SignJWT({ ...usual, jti, iat, exp: iat + lifetime, ...claims })
      .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid })
      .sign(privateKey);
  }

  revoke(jti: string, lifetime = 600): void {
    const second = this.#clock.now() / 1_000;
    this.#revoked = this.#revoked.filter(({ exp }) => exp > second);
    this.#revoked.push({ jti, exp: Math.floor(second) + lifetime });
    this.#version += 1;
    for (const wake of this.#held.splice(0)) wake();
  }

  readonly fetch = async (input: string, init: RequestInit = {}): Promise<Response> => {
    if (this.away) throw new TypeError('fetch failed');
    const url = new URL(input);
    if (url.pathname.startsWith('/.well-known/oauth')) {
      this.asked.metadata += 1;
      return response({
        status: 200,
        body: { issuer: this.#url, jwks_uri: `${this.#url}/.well-known/jwks.json` },
      });
    }
    if (url.pathname.endsWith('/jwks.json')) {
      this.asked.keys += 1;
      return response({ status: 200, body: { keys: this.#keys.map(({ jwk }) => jwk) } });
    }
    this.asked.list += 1;
    const since = url.searchParams.get('since');
    if (since === String(this.#version) && url.searchParams.has('wait')) {
      await new Promise<void>((resolve, reject) => {
        this.#held.push(resolve);
        void this.#clock.sleep(Number(url.searchParams.get('wait')) * 1_000).then(resolve);
        init.signal?.addEventListener('abort', () => reject(new Error('aborted')));
      });
      if (this.away) throw new TypeError('fetch failed');
    }
    const whole = since === '0' || since === null;
    const list = { revoked_tokens: this.#revoked, revoked_agents: [], revoked_orgs: [], revoked_keys: [] };
    const body = { since: whole ? null : Number(since), version: this.#version, ...list };
    return response({ status: 200, body });
  };
}
