// The service `invoices`, with Express: `GET /read` needs a token with db:read.

import express from 'express';
import { Client, Verifier } from 'sealwright';
import { protect } from 'sealwright/express';

const { SEALWRIGHT_URL, PORT, LONG_POLL } = process.env;

// Its own credentials, in the environment, prove whose verifier it is when it reports what it enforces.
const verifier = new Verifier({
  issuer: SEALWRIGHT_URL,
  audience: 'https://api.example',
  client: new Client(),
  name: 'invoices',
  longPoll: LONG_POLL !== 'no',
});

const app = express();
app.get('/read', protect(verifier, 'db:read'), (_request, response) => {
  response.send('invoices');
});
app.listen(Number(PORT), '127.0.0.1');
