// What a Node service does with the revocation list, whichever library checks the signature.

// recipe: revocations
import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';

// Knows which tokens are revoked, as of the last poll that succeeded.
export class Revocations {
  #etag = '';
  #jtis = new Set();
  #epochs = new Map();

  constructor(issuer) {
    this.list = `${issuer}/api/v1/token/revoked`;
  }

  // A service that cannot learn what is revoked does not start. Afterwards a failed poll leaves the list as it was.
  async start(milliseconds = 15_000) {
    await this.poll();
    this.#keepPolling(milliseconds);
  }

  async #keepPolling(milliseconds) {
    for (;;) {
      await setTimeout(milliseconds, undefined, { ref: false });
      await this.poll().catch((error) => console.error('the revocation list is stale:', error));
    }
  }

  // Nearly all answers are 304. Anything but a list throws.
  async poll() {
    const answer = await fetch(this.list, {
      headers: { 'if-none-match': this.#etag },
      signal: AbortSignal.timeout(5_000),
    });
    if (answer.status === 304) return;
    if (!answer.ok) throw new Error(`the revocation list: ${answer.status}`);
    const { revoked_jtis, revoked_agents } = await answer.json();
    const epochs = new Map(revoked_agents.map(({ agent, epoch }) => [agent, epoch]));
    this.#jtis = new Set(revoked_jtis);
    this.#epochs = epochs;
    this.#etag = answer.headers.get('etag');
  }

  // Whether a token with these claims is revoked: by itself, or with all that its agent had.
  has({ jti, client_id, epoch }) {
    const agent = createHash('sha256').update(client_id).digest('base64url');
    return this.#jtis.has(jti) || epoch < (this.#epochs.get(agent) ?? 0);
  }
}
// end of recipe
