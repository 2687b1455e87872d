// A service whose calls need a token: `GET /read` one for db:read, `GET /write` one for db:write.
//
//   LISTEN              where it listens: HOST:PORT, or a port on this machine alone
//   SEALWRIGHT_URL      the server, which is the issuer of its tokens
//   SEALWRIGHT_AUDIENCE the audience of this service
//
// With SEALWRIGHT_CLIENT_ID and its secret it reports to the server which revocations it enforces.

// recipe: service
import express from 'express';
import { Client, Verifier } from 'sealwright';
import { claims, protect } from 'sealwright/express';

const { LISTEN = '8000', SEALWRIGHT_URL, SEALWRIGHT_AUDIENCE, SEALWRIGHT_CLIENT_ID } = process.env;

const verifier = new Verifier({
  issuer: SEALWRIGHT_URL,
  audience: SEALWRIGHT_AUDIENCE,
  // Proves to the server whose verifier it is, when it reports which revocations it enforces.
  client: SEALWRIGHT_CLIENT_ID ? new Client() : undefined,
  onError: (error) => console.error(error.message),
});

const app = express();
app.get('/read', protect(verifier, 'db:read'), (request, response) => {
  response.send(`rows for ${claims(request).clientId}\n`);
});
app.get('/write', protect(verifier, 'db:write'), (request, response) => {
  response.send(`written for ${claims(request).clientId}\n`);
});
// end of recipe

// The list is there before the first request, if the server can be had. If not, calls get 503.
verifier.start();
const [, host = '127.0.0.1', port] = /^(?:(.*):)?(\d+)$/.exec(LISTEN);
const server = app.listen(Number(port), host.replace(/^\[|\]$/g, ''), () => {
  console.log(`listening on ${LISTEN}`);
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    verifier.close();
    server.close();
    server.closeIdleConnections();
  });
}
