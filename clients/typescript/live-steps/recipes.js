// The code of README.md and of docs/recipes/node.md that is not in an example. The steps use it.

// recipe: agent
import { Client } from 'sealwright';

// The server and the credentials are in the environment: SEALWRIGHT_URL, SEALWRIGHT_CLIENT_ID and
// SEALWRIGHT_CLIENT_SECRET, or SEALWRIGHT_CLIENT_SECRET_FILE. They can be given to it, too.
const client = new Client();
const api = client.fetch({ scope: 'db:read', audience: process.env.SEALWRIGHT_AUDIENCE });

export async function getRows(url) {
  const response = await api(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.text();
}

// end of recipe

// shown: verify
import { InvalidToken, Unavailable, Verifier } from 'sealwright';

const { SEALWRIGHT_URL, SEALWRIGHT_AUDIENCE } = process.env;
const verifier = new Verifier({ issuer: SEALWRIGHT_URL, audience: SEALWRIGHT_AUDIENCE });

export async function statusOf(token) {
  try {
    const { scopes } = await verifier.verify(token);
    return scopes.includes('db:read') ? 200 : 403;
  } catch (error) {
    if (error instanceof InvalidToken) return 401;
    if (error instanceof Unavailable) return 503;
    throw error;
  }
}
// end of what is shown
