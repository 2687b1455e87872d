// An MCP server that tells its clients whom to ask for a token, and serves those that have one.
//
//   PORT                where it listens on this machine
//   RESOURCE            its URL, as clients know it: the audience of its tokens
//   SEALWRIGHT_URL      the server, which is the issuer of its tokens

// recipe: mcp
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import express from 'express';
import { Verifier } from 'sealwright';
import { protect, serveMetadata } from 'sealwright/mcp';

const { PORT, RESOURCE, SEALWRIGHT_URL } = process.env;
const mine = { resource: RESOURCE, issuer: SEALWRIGHT_URL, scopes: ['db:read'] };
// Tokens are made for this server alone (RFC 8707).
const verifier = new Verifier({ issuer: mine.issuer, audience: mine.resource });

const app = express();
app.use(express.json());
app.use(serveMetadata(mine));
app.post('/mcp', protect(verifier, mine), async (request, response) => {
  const server = new McpServer({ name: 'database', version: '1.0.0' });
  server.registerTool('who_am_i', {}, ({ authInfo }) => ({
    content: [{ type: 'text', text: authInfo.clientId }],
  }));
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  response.on('close', () => server.close());
  await server.connect(transport);
  await transport.handleRequest(request, response, request.body);
});
app.listen(Number(PORT), '127.0.0.1');
// end of recipe
