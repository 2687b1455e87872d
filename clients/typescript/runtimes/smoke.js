// The library on any runtime: run it with `node`, `deno run -A` or `bun` in a folder where the library is installed. It needs
// no network, no test runner and nothing of Node.

import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { Client, InvalidToken, Unavailable, Verifier } from 'sealwright';
import { protect } from 'sealwright/hono';

const issuer = 'https://auth.example';
const audience = 'https://api.example';
const none = { revoked_tokens: [], revoked_agents: [], revoked_orgs: [], revoked_keys: [] };
const check = (holds, what) => {
  if (!holds) throw new Error(`it does not hold: ${what}`);
};
const failure = (promise) =>
  promise.then(
    () => undefined,
    (error) => error,
  );

const { privateKey, publicKey } = await generateKeyPair('RS256');
const keys = [{ ...(await exportJWK(publicKey)), kid: 'k', use: 'sig', alg: 'RS256' }];
const now = Math.floor(Date.now() / 1_000);
const sign = (jti) =>
  new SignJWT({ iss: issuer, aud: audience, sub: 'a', client_id: 'a', scope: 'db:read', epoch: 1, jti })
    .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: 'k' })
    .setIssuedAt(now)
    .setExpirationTime(now + 600)
    .sign(privateKey);

let asked = 0;
let tell;
const news = new Promise((resolve) => {
  tell = resolve;
});
const fetch = async (url, init) => {
  if (url.endsWith('/oauth/token')) {
    asked += 1;
    check(init.body.includes('client_secret=s'), 'the secret is in the body');
    return Response.json({ access_token: `token-${asked}`, token_type: 'Bearer', expires_in: 600 });
  }
  if (url.includes('oauth-authorization-server')) return Response.json({ issuer });
  if (url.includes('jwks')) return Response.json({ keys });
  if (url.includes('since=0')) return Response.json({ since: null, version: 1, ...none });
  if (url.includes('since=1')) {
    await news;
    return Response.json({
      since: 1,
      version: 2,
      ...none,
      revoked_tokens: [{ jti: 'dead', exp: now + 600 }],
    });
  }
  return new Promise(() => {});
};

const client = new Client({ baseUrl: issuer, clientId: 'a', clientSecret: 's', fetch });
const tokens = await Promise.all(Array.from({ length: 1_000 }, () => client.token({ scope: 'db:read' })));
check(new Set(tokens).size === 1 && asked === 1, 'one request for a thousand callers');
check(!JSON.stringify(client).includes('token-1'), 'JSON shows no token');

const verifier = new Verifier({ issuer, audience, fetch });
const [good, dead] = [await sign('good'), await sign('dead')];
check((await verifier.verify(good)).clientId === 'a', 'a good token passes');
await verifier.verify(dead);
tell();
for (let patience = 0; verifier.version !== 2; patience += 1) {
  check(patience < 1_000, 'the news comes');
  await new Promise((resolve) => setTimeout(resolve, 5));
}
const refused = await failure(verifier.verify(dead));
check(refused instanceof InvalidToken && refused.reason === 'revoked', 'a revoked token is refused');
check((await verifier.verify(good)).scopes.includes('db:read'), 'the other one still passes');
check(
  (await failure(verifier.verify(`${good.slice(0, -8)}AAAAAAAA`))).reason === 'signature',
  'a forged one is refused',
);

const door = protect(verifier, 'db:write');
const context = { req: { header: () => `Bearer ${good}` }, set: () => {} };
check((await door(context, async () => {})).status === 403, 'a door names what is missing');

const lazy = new Verifier({ issuer, audience, fetch, background: false });
check((await lazy.verify(good)).jti === 'good', 'a verifier without a background passes a good token');
const cut = new Verifier({ issuer, audience, fetch: () => Promise.reject(new TypeError('fetch failed')) });
check((await failure(cut.verify(good))) instanceof Unavailable, 'an outage is no verdict');

for (const one of [verifier, lazy, cut]) await one.close();
console.log('ok');
