// What the servers say of the verifiers, beside what the verifiers do.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'sealwright';
import { agent, claims, newClient, newVerifier, operator, read, refuses, url } from './world.js';

const { SERVICES_CLIENT_ID, SERVICES_CLIENT_SECRET, ADMIN_CLIENT_ID, ADMIN_CLIENT_SECRET } = process.env;
const services = new Client({
  baseUrl: url,
  clientId: SERVICES_CLIENT_ID,
  clientSecret: SERVICES_CLIENT_SECRET,
});
const admin = new Client({ baseUrl: url, clientId: ADMIN_CLIENT_ID, clientSecret: ADMIN_CLIENT_SECRET });

async function manage(method, path) {
  const authorization = `Bearer ${await admin.token({ scope: 'audit:read admin:orgs' })}`;
  return fetch(`${url}/api/v1/revocations/${path}`, { method, headers: { authorization } });
}

/** What the replica whose turn it is says. */
async function look(version) {
  const answer = await manage(
    'GET',
    version === undefined ? 'convergence' : `convergence?version=${version}`,
  );
  assert.equal(answer.status, 200);
  return answer.json();
}

async function lookUntil(state, version, seconds) {
  const end = performance.now() + seconds * 1_000;
  for (;;) {
    const found = await look(version);
    if (found.state === state) return found;
    assert.ok(performance.now() < end, JSON.stringify(found));
    await sleep(200);
  }
}

async function forget(verifier) {
  const answer = await manage('DELETE', `verifiers/${encodeURIComponent(verifier)}`);
  assert.ok([200, 404].includes(answer.status), `${answer.status}`);
}

/** Verifiers of another language's figures have ended, and are forgotten once they are silent. */
async function forgetOthers() {
  const end = performance.now() + 120_000;
  for (;;) {
    const found = await look();
    if (found.verifiers.total === 0) return;
    assert.ok(performance.now() < end, JSON.stringify(found));
    for (const { verifier } of found.slowest) await forget(verifier);
    await sleep(500);
  }
}

/** One report, as of a verifier that comes again in 5 s, and ends before that. */
async function report(name, version, client) {
  const headers = { 'sealwright-verifier': `${name}; version=${version}` };
  if (client) headers.authorization = `Bearer ${await client.token()}`;
  const answer = await fetch(`${url}/api/v1/token/revoked?since=0&wait=5`, { headers });
  assert.equal(answer.status, 200);
  await answer.arrayBuffer();
}

/** The claims of a token that is about to expire. */
async function briefToken() {
  const end = new Date((Math.floor(Date.now() / 1_000) + 20) * 1_000).toISOString().replace('.000', '');
  const made = await operator(
    ...['agent', 'create', '--json', '--name', 'brief', '--scope', 'db:read', '--expires-at', end],
  );
  const { agentId: clientId, clientSecret } = JSON.parse(made);
  return claims(await new Client({ baseUrl: url, clientId, clientSecret }).token(read));
}

export async function measureConvergence(count) {
  await forgetOthers();
  const token = await newClient().token(read);
  // Half of them poll, so that they converge at different times.
  const verifiers = Array.from({ length: count }, (_, at) =>
    newVerifier({ onError: () => {}, longPoll: at % 2 === 1, client: services, name: 'live' }),
  );
  await Promise.all(verifiers.map((verifier) => verifier.verify(token)));
  let version = Math.max(...verifiers.map((verifier) => verifier.version));
  // The first of them are complete before the others have reported.
  let found;
  const late = performance.now() + 60_000;
  do {
    if (found) await sleep(200);
    found = await lookUntil('complete', version, 60);
    assert.ok(found.verifiers.total === count || performance.now() < late, JSON.stringify(found));
  } while (found.verifiers.total !== count);

  await report('live/crashed', version, services);
  await report('live/eager', version + 1e9, services);
  const brief = await briefToken();
  await sleep((brief.exp - 2) * 1_000 - Date.now());
  await operator('token', 'revoke', '--jti', brief.jti);
  const began = performance.now();
  version = JSON.parse(await operator('agent', 'suspend', agent, '--json')).revocationVersion;
  let looks = 0;
  let refusing = 0;
  do {
    if (looks > 0) await sleep(100);
    found = await look(version);
    const refused = await Promise.all(verifiers.map((verifier) => refuses(verifier, token)));
    refusing = refused.filter(Boolean).length;
    looks += 1;
    assert.ok(['pending', 'partial'].includes(found.state), JSON.stringify(found));
    assert.ok(found.verifiers.converged <= refusing, `${JSON.stringify(found)}, ${refusing} refuse`);
    assert.equal(found.verifiers.total, count + 1, JSON.stringify(found));
    assert.ok(performance.now() - began < 60_000, JSON.stringify(found));
  } while (found.state !== 'partial');
  const took = (performance.now() - began) / 1_000;
  assert.equal(refusing, count);
  assert.ok(Date.now() > brief.exp * 1_000);

  // Nobody speaks for the crashed one without a token of its agent.
  await report('live/crashed', version, undefined);
  await sleep(5_000);
  found = await look(version);
  assert.equal(found.state, 'partial', JSON.stringify(found));
  assert.ok(found.verifiers.unauthenticated >= 1, JSON.stringify(found));
  await forget(`${SERVICES_CLIENT_ID}/live/crashed`);
  const { p50Ms, p100Ms } = await lookUntil('complete', version, 10);
  await operator('agent', 'reactivate', agent);
  await Promise.all(verifiers.map((verifier) => verifier.close()));
  return (
    `${count} verifiers, every second by polling: half enforce it after ${p50Ms} ms and all after ${p100Ms} ms; ` +
    `partial after ${took.toFixed(1)} s while one has crashed, complete once it is forgotten; ` +
    `none of ${looks} looks was ahead of the verifiers`
  );
}
