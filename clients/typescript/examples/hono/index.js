// A service with Hono, for any runtime that serves `fetch`: `deno serve`, `bun run`, a worker.

// shown: hono
import { Hono } from 'hono';
import { Verifier } from 'sealwright';
import { protect } from 'sealwright/hono';

const { SEALWRIGHT_URL, SEALWRIGHT_AUDIENCE } = process.env;
const verifier = new Verifier({ issuer: SEALWRIGHT_URL, audience: SEALWRIGHT_AUDIENCE });

const app = new Hono();
app.get('/read', protect(verifier, 'db:read'), (context) => {
  return context.text(`rows for ${context.get('claims').clientId}\n`);
});
// end of what is shown

export default app;
