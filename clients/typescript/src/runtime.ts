// What differs between Node, Deno, Bun, workers and browsers: the environment and files.

import { NoCredentials } from './errors.js';

type Env = Readonly<Record<string, string | undefined>>;

/** The variables of the process; none where there is no process. */
export function processEnv(): Env {
  const { process } = globalThis as { process?: { env?: Env } };
  return process?.env ?? {};
}

/** The part of `node:fs/promises` that is used. */
export interface Files {
  readFile(path: string, encoding: 'utf8'): Promise<string>;
  writeFile(path: string, text: string, options: { mode: number; flag: string }): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { force: boolean }): Promise<void>;
}

/** Files, where the runtime has any. The name is no literal, so that bundlers for workers pass over it. */
export async function files(): Promise<Files> {
  const module = 'node:fs/promises';
  try {
    return (await import(module)) as Files;
  } catch (cause) {
    throw new NoCredentials('this runtime has no files', { cause });
  }
}

/** A file that holds one value. One line break at its end is dropped. */
export async function readValue(path: string): Promise<string> {
  return (await (await files()).readFile(path, 'utf8')).replace(/\r?\n$/, '');
}

/** Hides an object's insides from `console.log` of Node, Deno and Bun. */
export const INSPECT = Symbol.for('nodejs.util.inspect.custom');
