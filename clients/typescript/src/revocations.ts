// What is revoked, as lists and deltas tell it. Nothing here waits or asks.

import type { Claims } from './token.js';

/** A version is the server's word: it is compared for equality and sent back, nothing else. */
export type Version = string | number;

/** An entry is forgotten so long after the token or the epoch that it names has expired, in milliseconds. */
const GRACE_MS = 120_000;
/** Expired entries are looked for once in this time. */
const FORGET_EVERY_MS = 60_000;

interface Epoch {
  readonly epoch: number;
  readonly exp: number;
}

/** What a delta or a whole list says. */
export interface Delta {
  /** The version that it follows; `null` for the whole list. */
  readonly since: Version | null;
  readonly version: Version;
  readonly tokens: readonly (readonly [string, number])[];
  readonly agents: readonly (readonly [string, Epoch])[];
  readonly orgs: readonly (readonly [string, Epoch])[];
  readonly keys: readonly (readonly [string, number])[];
}

/** A whole list, and up to when expired entries may be missing from it. */
export interface Snapshot extends Delta {
  readonly since: null;
  readonly forgottenUntil: number;
}

/** The list of servers that know no deltas. It does not say until when an entry matters. */
export interface OldList {
  readonly version: Version;
  readonly tokens: ReadonlySet<string>;
  readonly agents: ReadonlyMap<string, number>;
}

export class Revocations {
  #version: Version | undefined;
  readonly #tokens = new Map<string, number>();
  readonly #agents = new Map<string, Epoch>();
  readonly #orgs = new Map<string, Epoch>();
  readonly #keys = new Map<string, number>();
  #old: OldList | undefined;
  /** Tokens that expire up to this time may have had entries that were forgotten. */
  #forgottenUntil = 0;
  #forgotAt = Number.NEGATIVE_INFINITY;

  /** The version that is enforced; none before the first list. */
  get version(): Version | undefined {
    return this.#version;
  }

  /** Applies what follows the version at hand, or a whole list. It returns whether it did. */
  apply(delta: Delta, now: number): boolean {
    if (delta.since !== null && delta.since !== this.#version) return false;
    if (delta.since === null) {
      // What was revoked stays so until it expires, also if this list lacks it. The old list cannot say until when.
      this.#old = undefined;
      this.#forgottenUntil = 0;
    }
    for (const [jti, exp] of delta.tokens) keep(this.#tokens, jti, exp);
    for (const [agent, epoch] of delta.agents) keepEpoch(this.#agents, agent, epoch);
    for (const [org, epoch] of delta.orgs) keepEpoch(this.#orgs, org, epoch);
    for (const [kid, exp] of delta.keys) keep(this.#keys, kid, exp);
    this.#version = delta.version;
    this.forget(now);
    return true;
  }

  /** Takes an old list in place of the one before. */
  applyOld(list: OldList): void {
    this.#old = list;
    this.#version = list.version;
  }

  /** Forgets what has expired. */
  forget(now: number): void {
    if (Math.abs(now - this.#forgotAt) < FORGET_EVERY_MS) return;
    this.#forgotAt = now;
    const end = (now - GRACE_MS) / 1_000;
    let forgot = false;
    for (const map of [this.#tokens, this.#keys]) {
      for (const [name, exp] of map) if (exp <= end) forgot = map.delete(name) || forgot;
    }
    for (const map of [this.#agents, this.#orgs]) {
      for (const [name, { exp }] of map) if (exp <= end) forgot = map.delete(name) || forgot;
    }
    if (forgot) this.#forgottenUntil = Math.max(this.#forgottenUntil, end);
  }

  /** Whether the time of day was set back so far that an entry which matters now was forgotten. */
  isIncomplete(now: number): boolean {
    return this.#forgottenUntil * 1_000 > now;
  }

  /** Whether an entry of this token may have been forgotten. */
  mayHaveForgotten(claims: Claims): boolean {
    return claims.exp <= this.#forgottenUntil;
  }

  /** Whether a token is revoked. `agent` is {@link agentHash} of its `client_id`. */
  has(claims: Claims, kid: string, agent: string): boolean {
    const orgId = claims.payload['org_id'] as string | undefined;
    const orgEpoch = (claims.payload['org_epoch'] as number | undefined) ?? 0;
    const org = orgId === undefined ? undefined : this.#orgs.get(orgId);
    return (
      this.#tokens.has(claims.jti) ||
      this.#keys.has(kid) ||
      claims.epoch < (this.#agents.get(agent)?.epoch ?? 0) ||
      (org !== undefined && orgEpoch < org.epoch) ||
      (this.#old !== undefined &&
        (this.#old.tokens.has(claims.jti) || claims.epoch < (this.#old.agents.get(agent) ?? 0)))
    );
  }

  /** All of it, for a file; none before the first list, or while an old one is held. */
  snapshot(): Snapshot | undefined {
    if (this.#version === undefined || this.#old) return undefined;
    return {
      since: null,
      version: this.#version,
      tokens: [...this.#tokens],
      agents: [...this.#agents],
      orgs: [...this.#orgs],
      keys: [...this.#keys],
      forgottenUntil: this.#forgottenUntil,
    };
  }

  /** Takes what a file holds. */
  restore(snapshot: Snapshot, now: number): void {
    this.apply(snapshot, now);
    this.#forgottenUntil = Math.max(this.#forgottenUntil, snapshot.forgottenUntil);
  }

  /** How many entries are held. */
  get size(): number {
    const old = this.#old ? this.#old.tokens.size + this.#old.agents.size : 0;
    return this.#tokens.size + this.#agents.size + this.#orgs.size + this.#keys.size + old;
  }
}

function keep(map: Map<string, number>, name: string, exp: number): void {
  map.set(name, Math.max(exp, map.get(name) ?? 0));
}

function keepEpoch(map: Map<string, Epoch>, name: string, { epoch, exp }: Epoch): void {
  const held = map.get(name);
  map.set(name, { epoch: Math.max(epoch, held?.epoch ?? 0), exp: Math.max(exp, held?.exp ?? 0) });
}

/** How an agent is named in the lists: base64url of SHA-256 of its `client_id`. */
export async function agentHash(clientId: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(clientId));
  return btoa(String.fromCharCode(...new Uint8Array(hash)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}
