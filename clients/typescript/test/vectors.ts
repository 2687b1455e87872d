// The vectors that all libraries share.

import { readFileSync } from 'node:fs';

/** A file of `clients/vectors`. */
export function vectors<T>(name: string): T {
  const folder = process.env['SEALWRIGHT_VECTORS'] ?? new URL('../../../vectors/', import.meta.url).pathname;
  return JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) as T;
}
