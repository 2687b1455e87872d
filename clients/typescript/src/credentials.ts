// Where a client's id and secret come from: what it was given, else the environment.

import { NoCredentials } from './errors.js';
import { processEnv, readValue } from './runtime.js';

export interface CredentialOptions {
  /** The agent's id. */
  readonly clientId?: string | undefined;
  /** Its secret. */
  readonly clientSecret?: string | undefined;
  /** The file that holds its secret, read anew for each request, so that a rotated secret is found. */
  readonly clientSecretFile?: string | undefined;
  /** The environment, where it is not the process's (`env` of a worker). */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

export interface Credentials {
  readonly clientId: string;
  readonly clientSecret: string;
}

/** Reads the credentials, at each request anew. */
export type CredentialSource = () => Promise<Credentials>;

/** The first that is complete: what was given; `SEALWRIGHT_CLIENT_ID` with its secret or the secret's file. */
export function credentialSource(options: CredentialOptions): CredentialSource {
  const { clientId, clientSecret, clientSecretFile } = options;
  if (clientSecret !== undefined && clientSecretFile !== undefined) {
    throw new NoCredentials('clientSecret and clientSecretFile: give one of them');
  }
  if (clientSecret !== undefined || clientSecretFile !== undefined) {
    return complete(clientId ?? env(options, 'SEALWRIGHT_CLIENT_ID'), clientSecret, clientSecretFile);
  }
  const [secret, file] = [
    env(options, 'SEALWRIGHT_CLIENT_SECRET'),
    env(options, 'SEALWRIGHT_CLIENT_SECRET_FILE'),
  ];
  if (secret !== undefined && file !== undefined) {
    throw new NoCredentials(
      'SEALWRIGHT_CLIENT_SECRET and SEALWRIGHT_CLIENT_SECRET_FILE are both set: unset one',
    );
  }
  return complete(clientId ?? env(options, 'SEALWRIGHT_CLIENT_ID'), secret, file);
}

function complete(
  clientId: string | undefined,
  clientSecret: string | undefined,
  file: string | undefined,
): CredentialSource {
  if (!clientId || (!clientSecret && !file)) {
    throw new NoCredentials(
      'no credentials: give clientId and clientSecret, or set SEALWRIGHT_CLIENT_ID and ' +
        'SEALWRIGHT_CLIENT_SECRET or SEALWRIGHT_CLIENT_SECRET_FILE',
    );
  }
  return async () => {
    const secret = file === undefined ? clientSecret : await readSecret(file);
    return { clientId, clientSecret: secret as string };
  };
}

async function readSecret(file: string): Promise<string> {
  let secret: string;
  try {
    secret = await readValue(file);
  } catch (cause) {
    throw new NoCredentials(`the secret's file cannot be read: ${file}`, { cause });
  }
  if (!secret) throw new NoCredentials(`the secret's file is empty: ${file}`);
  return secret;
}

/** An empty variable counts as absent: Kubernetes cannot unset what an image sets. */
export function env(options: CredentialOptions, name: string): string | undefined {
  return (options.env ?? processEnv())[name] || undefined;
}
