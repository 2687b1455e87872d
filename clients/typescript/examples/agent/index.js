// An agent that asks for tokens many times at once, and gets one for each scope.
//
//   SEALWRIGHT_URL, SEALWRIGHT_CLIENT_ID, SEALWRIGHT_CLIENT_SECRET or …_SECRET_FILE   whom it asks, and as whom
//   SEALWRIGHT_AUDIENCE   the service that the tokens are for
//   SCOPES                its scopes, separated by commas: one token for each
//   CALLERS               how many ask at once for each (1)

import { Client } from 'sealwright';

const { SEALWRIGHT_AUDIENCE: audience, SCOPES = '', CALLERS = '1' } = process.env;

const client = new Client();
const calls = SCOPES.split(',').flatMap((scope) =>
  Array.from({ length: Number(CALLERS) }, () => client.token({ scope, audience })),
);
const tokens = await Promise.all(calls);

console.log(client);
console.log(`tokens=${tokens.length} distinct=${new Set(tokens).size}`);
