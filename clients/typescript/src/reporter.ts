// How a verifier reports which version of the revocation list it enforces.

import type { Client } from './client.js';
import { RateLimited, SealwrightError, Unavailable } from './errors.js';

/** How long a poll waits for the token of its report. */
const PATIENCE_MS = 2_000;

/** The header fields of a poll. */
export type Reporter = (version: string | undefined) => Promise<Record<string, string>>;

interface ReporterOptions {
  readonly audience: string;
  readonly client?: Client | undefined;
  readonly name?: string | undefined;
  readonly instance?: string | undefined;
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** Reports under `name/instance`. A client's token proves who reports; without it the report does not count. */
export function reporter({
  audience,
  client,
  name = audience,
  instance = randomName(),
  onError = () => undefined,
}: ReporterOptions): Reporter {
  const verifier = `${plain(name)}/${plain(instance)}`;
  return async (version) => {
    const report: Record<string, string> =
      version === undefined ? {} : { 'sealwright-verifier': `${verifier}; version=${version}` };
    if (!client) return report;
    // Polls do not wait for a token for long: to learn what is revoked matters more than to report it.
    const given = new AbortController();
    const timer = setTimeout(() => given.abort(), PATIENCE_MS);
    try {
      return { ...report, authorization: `Bearer ${await client.token({ signal: given.signal })}` };
    } catch (error) {
      onError(error);
      // The server lists an agent that gets no token as unauthenticated, for a day. A token that is late is no reason for it.
      const isVerdict =
        error instanceof SealwrightError && !(error instanceof Unavailable || error instanceof RateLimited);
      return isVerdict ? report : {};
    } finally {
      clearTimeout(timer);
    }
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
