// How a verifier reports which version of the revocation list it enforces.

import type { Client } from './client.js';

/** The header fields of a poll. */
export type Reporter = (version: string | undefined) => Promise<Record<string, string>>;

interface ReporterOptions {
  readonly audience: string;
  readonly client?: Client | undefined;
  readonly name?: string | undefined;
  readonly instance?: string | undefined;
}

/** Reports under `name/instance`. A client's token proves who reports; without it the report does not count. */
export function reporter({
  audience,
  client,
  name = audience,
  instance = randomName(),
}: ReporterOptions): Reporter {
  const verifier = `${plain(name)}/${plain(instance)}`;
  return async (version) => {
    const headers: Record<string, string> = {};
    if (version !== undefined) headers['sealwright-verifier'] = `${verifier}; version=${version}`;
    // Polls go on without a token: to learn what is revoked matters more than to report it.
    const token = await client?.token().catch(() => undefined);
    if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
    return headers;
  };
}

/** A name in the characters that a report may have. */
function plain(name: string): string {
  return (
    name
      .replace(/^https?:\/\//, '')
      .replace(/[^A-Za-z0-9._~-]+/g, '-')
      .slice(0, 64) || '-'
  );
}

function randomName(): string {
  return crypto.randomUUID().slice(0, 8);
}
