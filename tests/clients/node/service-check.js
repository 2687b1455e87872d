// Checks the recipe's `service.js`, an unmodified Express service.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CLIENT_ID, ISSUER, did, done, freePort, requestToken, revoke } from './given.js';
import { openFront, until } from './front.js';

const AUDIENCE = 'https://db.example';
const script = fileURLToPath(new URL('service.js', import.meta.url));

async function start(issuer) {
  const port = await freePort();
  const child = spawn(process.execPath, [script], { env: { ...process.env, ISSUER: issuer, AUDIENCE, PORT: String(port) } });
  const ask = async (token) => {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const answer = await fetch(`http://127.0.0.1:${port}/rows`, { headers });
    return [answer.status, await answer.text(), answer.headers.get('www-authenticate') ?? answer.headers.get('retry-after')];
  };
  await until(() => ask().then(() => true, () => false));
  return { ask, stop: () => child.kill() };
}

const token = await requestToken({ audience: AUDIENCE });
const service = await start(ISSUER);
assert.deepEqual(await service.ask(token), [200, `rows for ${CLIENT_ID}\n`, null]);
assert.deepEqual(await service.ask(), [401, 'a token is needed\n', 'Bearer']);
did('verified offline');
const lacking = await requestToken({ audience: AUDIENCE, scope: 'files:read' });
assert.deepEqual(await service.ask(lacking), [403, 'the token lacks db:read\n', 'Bearer error="insufficient_scope", scope="db:read"']);
did('403 without the scope');
assert.equal((await service.ask(await requestToken({})))[0], 401);
did('401 for another audience');
service.stop();

// The service fetches the list at its start, so it knows earlier revocations.
await revoke(token);
const later = await start(ISSUER);
assert.deepEqual(await later.ask(token), [401, 'the token was revoked\n', 'Bearer error="invalid_token"']);
later.stop();
did('401 after revocation');

const front = await openFront();
front.mode = 'keyless';
const cut = await start(front.url);
const good = await requestToken({ audience: AUDIENCE });
assert.deepEqual(await cut.ask(good), [503, 'try again\n', '5']);
front.mode = 'pass';
// Now the keys are available, and the token is refused, since its issuer is another one.
assert.equal((await cut.ask(good))[0], 401);
cut.stop();
front.close();
did('503, not 401, while the keys cannot be had');

done('express');
