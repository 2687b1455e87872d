// Calls both services with an agent's token all the time, suspends the agent, and prints when each service refuses.
//
//   SERVICES   "NAME URL", one on a line
//   AGENT      the agent's id, for the operator's command
//   SEALWRIGHT_BIN, SEALWRIGHT_URL, SEALWRIGHT_CLIENT_ID, SEALWRIGHT_CLIENT_SECRET

import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client, SealwrightError } from 'sealwright';

const { SERVICES, AGENT, SEALWRIGHT_BIN } = process.env;
// The longest that this waits for anything, in milliseconds.
const PATIENCE = 60_000;

const services = SERVICES.split('\n').map((line) => line.split(' '));
const width = Math.max(...services.map(([name]) => name.length));
const agent = new Client();
const token = await agent.token({ scope: 'db:read', audience: 'https://api.example' });

/** The status of a call; none while nobody answers. */
async function call(url) {
  const headers = { authorization: `Bearer ${token}` };
  return fetch(`${url}/read`, { headers }).then(
    async (response) => {
      await response.arrayBuffer();
      return response.status;
    },
    () => undefined,
  );
}

/** Calls until the status comes. */
async function until(url, status) {
  const end = performance.now() + PATIENCE;
  while ((await call(url)) !== status) {
    if (performance.now() > end) throw new Error(`${url} never answered ${status}`);
    await sleep(2);
  }
}

for (const [name, url] of services) {
  await until(url, 200);
  console.log(`${name.padEnd(width)}  accepts the agent's token`);
}
// The services go on to their next poll, which is held.
await sleep(500);

console.log('sealwright agent suspend reporter');
const command = promisify(execFile)(SEALWRIGHT_BIN, ['agent', 'suspend', AGENT]).then(() => performance.now());
const refused = services.map(async ([name, url]) => {
  await until(url, 401);
  return [name, performance.now()];
});
const suspended = await command;
for (const [name, at] of (await Promise.all(refused)).sort(([, one], [, other]) => one - other)) {
  // A service may hear of the commit before the command has ended.
  const milliseconds = Math.max(0, Math.round(at - suspended));
  console.log(`${name.padEnd(width)}  refuses it after ${String(milliseconds).padStart(4)} ms`);
}

const again = new Client();
const error = await again.token({ scope: 'db:read', audience: 'https://api.example' }).catch((error) => error);
if (!(error instanceof SealwrightError)) throw new Error('the suspended agent got a token');
console.log(`the agent asks for another token: ${error.name}`);
