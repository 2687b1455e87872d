// The file that keeps the revocation list over a restart.

import { jsonObject } from './http.js';
import { readList } from './lists.js';
import type { Delta, Snapshot } from './revocations.js';
import { files } from './runtime.js';

/** The format's number. A file of another format is none. */
const FORMAT = 1;

/** What the file holds, and when the server was last heard, in milliseconds since 1970. */
export interface Kept {
  readonly snapshot: Snapshot;
  readonly heardAt: number;
}

/** Reads the file; none where it is missing, damaged, or of another issuer. */
export async function readFile(path: string, issuer: string): Promise<Kept | undefined> {
  let text: string;
  try {
    text = await (await files()).readFile(path, 'utf8');
  } catch {
    return undefined;
  }
  const file = jsonObject(text);
  const list = file && readList(JSON.stringify(file['list'] ?? null));
  const { format, heardAt, forgottenUntil } = file ?? {};
  const known = format === FORMAT && file?.['issuer'] === issuer && list && 'delta' in list;
  if (!known || typeof heardAt !== 'number' || typeof forgottenUntil !== 'number') return undefined;
  return { snapshot: { ...list.delta, since: null, forgottenUntil }, heardAt };
}

/** Writes the file, so that a crash leaves the old one or the new one. */
export async function writeFile(path: string, issuer: string, { snapshot, heardAt }: Kept): Promise<void> {
  const { writeFile, rename, rm } = await files();
  const { forgottenUntil } = snapshot;
  const text = JSON.stringify({ format: FORMAT, issuer, heardAt, forgottenUntil, list: listOf(snapshot) });
  // A name of its own, since the processes of a cluster may write the same file; `wx` follows no link.
  const own = `${path}.${crypto.randomUUID()}.new`;
  try {
    await writeFile(own, text, { mode: 0o600, flag: 'wx' });
    await rename(own, path);
  } catch (error) {
    await rm(own, { force: true });
    throw error;
  }
}

/** The list as the server would send it. */
function listOf({ version, tokens, agents, orgs, keys }: Delta) {
  return {
    since: null,
    version,
    revoked_tokens: tokens.map(([jti, exp]) => ({ jti, exp })),
    revoked_agents: agents.map(([agent, { epoch, exp }]) => ({ agent, epoch, exp })),
    revoked_orgs: orgs.map(([orgId, { epoch, exp }]) => ({ orgId, epoch, exp })),
    revoked_keys: keys.map(([kid, exp]) => ({ kid, exp })),
  };
}
