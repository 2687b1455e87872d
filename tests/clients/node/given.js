// The values that tests/clients/run gives to every Node client, and requests that a check sends without the library.

import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';

export const { ISSUER, METADATA, METRICS, CLIENT_ID, CLIENT_SECRET, SERVICE_ID, SERVICE_SECRET, SCOPE } = process.env;
// A secret in the form of a real one. It belongs to no agent.
export const WRONG_SECRET = 'sw_wrong' + 'x'.repeat(56);

// The server's metadata (RFC 8414), for libraries that do not fetch it.
export const metadata = await (await fetch(METADATA)).json();

// The introspection response of a token.
export async function introspect(token) {
  return (await post(metadata.introspection_endpoint, [SERVICE_ID, SERVICE_SECRET], { token })).json();
}

// Requests a token with these form parameters, for libraries that only verify tokens.
export async function requestToken(form) {
  const answer = await post(metadata.token_endpoint, [CLIENT_ID, CLIENT_SECRET], {
    grant_type: 'client_credentials',
    ...form,
  });
  return (await answer.json()).access_token;
}

// Revokes the client's own token, for libraries that cannot do it.
export async function revoke(token) {
  await post(metadata.revocation_endpoint, [CLIENT_ID, CLIENT_SECRET], { token });
}

// Whether introspection accepts the token for this client with both scopes.
export async function accepted(token) {
  const told = await introspect(token);
  return told.active && told.client_id === CLIENT_ID && told.scope === SCOPE;
}

// Whether introspection says only that the token is not active.
export async function refused(token) {
  return JSON.stringify(await introspect(token)) === '{"active":false}';
}

// A free port on loopback.
export async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

// How many requests to a route the server has answered with 2xx.
export async function answered(route) {
  const line = `sealwright_http_requests_total{route="${route}",status="200",reason="none"} `;
  const counters = (await (await fetch(METRICS)).text()).split('\n');
  return Number(counters.find((counter) => counter.startsWith(line))?.slice(line.length) ?? 0);
}

const proven = [];

// Notes what the checks so far have proven. The table of docs/clients.md has the same words.
export function did(what) {
  proven.push(what);
}

// Runs a command of the operator.
export function sealwright(...args) {
  execFileSync(process.env.SEALWRIGHT, args);
}

// Registers a public key of the client, a JWK or PEM: it proves itself by signatures then, as well as by its secret.
export function giveKey(key) {
  const file = `${process.env.TMPDIR}/public-key`;
  writeFileSync(file, typeof key === 'string' ? key : JSON.stringify(key));
  sealwright('credential', 'create', CLIENT_ID, '--public-key', file);
}

// Prints the last line, which tests/clients/run reads. For a module of Node itself, the version is `-`.
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
