// The live steps of clients/live/README.md, with the installed library. `live` runs it.

import { createRequire } from 'node:module';
import { figures } from './figures.js';
import { steps } from './steps.js';

// A wrong import would test the tree, and not what was built.
if (
  !createRequire(import.meta.url)
    .resolve('sealwright')
    .includes('/node_modules/sealwright/dist/')
) {
  throw new Error('the library is not the one that was installed');
}

const table = process.env.LIVE_PART === 'figures' ? figures : steps;
let failed = false;
for (const [name, step] of Object.entries(table)) {
  try {
    console.log(`ok ${name}: ${await step()}`);
  } catch (error) {
    console.error(error);
    console.log(`not ok ${name}: ${error.message.split('\n')[0]}`);
    failed = true;
    break;
  }
}
// Processes and polls that are left end with this one.
process.exit(failed ? 1 : 0);
