// An Express service that lets tokens in: the recipe's `service.js`. ISSUER, AUDIENCE and PORT are its settings.

// recipe: service
import express from 'express';
import { errors } from 'jose';
import { Unavailable, Verifier } from './verifier.js';

const { ISSUER = 'http://localhost:3000', AUDIENCE = 'https://api.example', PORT = '8000' } = process.env;
const verifier = new Verifier(ISSUER, AUDIENCE);
await verifier.revocations.start();

// Lets a request pass whose token is good and carries the scope.
const allows = (scope) => async (request, response, next) => {
  const token = /^Bearer +(.+)$/i.exec(request.get('authorization') ?? '')?.[1];
  if (!token) return response.status(401).set('WWW-Authenticate', 'Bearer').send('a token is needed\n');
  try {
    request.claims = await verifier.verify(token);
  } catch (error) {
    // Not 401: a client would throw a good token away.
    if (error instanceof Unavailable) return response.status(503).set('Retry-After', '5').send('try again\n');
    if (!(error instanceof errors.JOSEError)) throw error;
    return response.status(401).set('WWW-Authenticate', 'Bearer error="invalid_token"').send(`${error.message}\n`);
  }
  if (!request.claims.scope.split(' ').includes(scope)) {
    const challenge = `Bearer error="insufficient_scope", scope="${scope}"`;
    return response.status(403).set('WWW-Authenticate', challenge).send(`the token lacks ${scope}\n`);
  }
  next();
};

const app = express();
app.get('/rows', allows('db:read'), (request, response) => {
  response.send(`rows for ${request.claims.client_id}\n`);
});
app.listen(Number(PORT), '127.0.0.1');
// end of recipe
