// What tests/clients/run hands to every Node client, and what a client asks beside its library.

import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

export const { ISSUER, METADATA, METRICS, CLIENT_ID, CLIENT_SECRET, SERVICE_ID, SERVICE_SECRET, SCOPE } = process.env;
// As well formed as the real one, and of nobody.
export const WRONG_SECRET = 'sw_wrong' + 'x'.repeat(56);

// The server's own description, for libraries that do not look for it.
export const metadata = await (await fetch(METADATA)).json();

// What a service is told about a token.
export async function introspect(token) {
  return (await post(metadata.introspection_endpoint, [SERVICE_ID, SERVICE_SECRET], { token })).json();
}

// A token for the form's members, for what only verifies.
export async function requestToken(form) {
  const answer = await post(metadata.token_endpoint, [CLIENT_ID, CLIENT_SECRET], {
    grant_type: 'client_credentials',
    ...form,
  });
  return (await answer.json()).access_token;
}

// Takes the client's own token back, for libraries that cannot.
export async function revoke(token) {
  await post(metadata.revocation_endpoint, [CLIENT_ID, CLIENT_SECRET], { token });
}

// Whether a service that introspects would let this client in, with both scopes.
export async function accepted(token) {
  const told = await introspect(token);
  return told.active && told.client_id === CLIENT_ID && told.scope === SCOPE;
}

// Whether a service is told that the token is worth nothing, and nothing else.
export async function refused(token) {
  return JSON.stringify(await introspect(token)) === '{"active":false}';
}

// A port of loopback that nobody holds.
export async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

// How often the server has answered well at a route.
export async function answered(route) {
  const line = `sealwright_http_request_duration_seconds_count{route="${route}",status="2xx"} `;
  const counters = (await (await fetch(METRICS)).text()).split('\n');
  return Number(counters.find((counter) => counter.startsWith(line))?.slice(line.length) ?? 0);
}

const proven = [];

// Says what the checks above have proven. The words of all stand in the table of docs/clients.md.
export function did(what) {
  proven.push(what);
}

// What an operator types.
export function sealwright(...args) {
  execFileSync(process.env.SEALWRIGHT, args);
}

// The line that tests/clients/run takes; for what comes with Node the version is `-`.
export function done(name) {
  if (!name) return console.log(`-: ${proven.join('; ')}`);
  const { version } = JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url)));
  console.log(`${version}: ${proven.join('; ')}`);
}

async function post(endpoint, credentials, form) {
  const answer = await fetch(endpoint, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(credentials.join(':'))}` },
    body: new URLSearchParams(form),
  });
  if (!answer.ok) throw new Error(`${endpoint}: ${answer.status} ${await answer.text()}`);
  return answer;
}
