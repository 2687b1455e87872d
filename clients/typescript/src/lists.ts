// Reads the server's lists. Whatever is not exactly a list is none: half a list must not be enforced.

import { jsonObject } from './http.js';
import type { Delta, OldList, Version } from './revocations.js';

type Row = Readonly<Record<string, unknown>>;

/** A delta, a whole list, or the list of a server that knows neither; none where the text is anything else. */
export function readList(text: string): { readonly delta: Delta } | { readonly old: OldList } | undefined {
  const body = jsonObject(text);
  if (!body || !isVersion(body['version'])) return undefined;
  if ('since' in body) {
    const delta = readDelta(body, body['version']);
    return delta && { delta };
  }
  const old = readOld(body, body['version']);
  return old && { old };
}

function readDelta(body: Row, version: Version): Delta | undefined {
  const { since } = body;
  if (since !== null && !isVersion(since)) return undefined;
  const tokens = rows(body['revoked_tokens'], (row) => named(row['jti'], row['exp']));
  const agents = rows(body['revoked_agents'], (row) => epoch(row['agent'], row));
  const orgs = rows(body['revoked_orgs'], (row) => epoch(row['orgId'], row));
  const keys = rows(body['revoked_keys'], (row) => named(row['kid'], row['exp']));
  return tokens && agents && orgs && keys && { since, version, tokens, agents, orgs, keys };
}

function readOld(body: Row, version: Version): OldList | undefined {
  const tokens = body['revoked_jtis'];
  const agents = rows(body['revoked_agents'], ({ agent, epoch }) =>
    isText(agent) && isWhole(epoch) ? ([agent, epoch] as const) : undefined,
  );
  if (!agents || !Array.isArray(tokens) || !tokens.every(isText)) return undefined;
  return { version, tokens: new Set(tokens), agents: new Map(agents) };
}

/** The rows of a list, if every one of them can be read. */
function rows<T>(list: unknown, read: (row: Row) => T | undefined): T[] | undefined {
  if (!Array.isArray(list)) return undefined;
  const found: T[] = [];
  for (const row of list) {
    const one = typeof row === 'object' && row !== null ? read(row as Row) : undefined;
    if (one === undefined) return undefined;
    found.push(one);
  }
  return found;
}

function named(name: unknown, exp: unknown): readonly [string, number] | undefined {
  return isText(name) && isWhole(exp) ? [name, exp] : undefined;
}

function epoch(name: unknown, { epoch, exp }: Row) {
  return isText(name) && isWhole(epoch) && isWhole(exp) ? ([name, { epoch, exp }] as const) : undefined;
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isVersion = (value: unknown): value is Version =>
  Number.isSafeInteger(value) || (typeof value === 'string' && value !== '');
