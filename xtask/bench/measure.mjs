// What every measured program does around its queue, so that all rows mean the same:
//
//   node <system>.mjs <url> <jobs> <variant>
//
// 1. into an empty database it adds <jobs> jobs that do nothing, in bulk (enqueue_seconds);
// 2. VACUUM ANALYZE and CHECKPOINT, so that the run neither pays for the adding nor lacks statistics;
// 3. it runs all of them in one process (seconds: from just before the first fetch until the database has the last
//    completion);
// 4. it prints one line of JSON: system, version, jobs, seconds, jobs_per_second, enqueue_seconds, settings.
//
// Anything else that happens is an error and no line.
import { readFileSync } from "node:fs";
import pg from "pg";

const [url, count, variant] = process.argv.slice(2);
const jobs = Number(count);
if (!url || !Number.isInteger(jobs) || jobs < 1) {
  throw new Error("usage: node <system>.mjs <url> <jobs> <variant>");
}

export { url, jobs };

/** The settings of the variant that was asked for. */
export function chosen(variants) {
  const found = variants[variant];
  if (!found) throw new Error(`variant \`${variant}\` is none of ${Object.keys(variants).join(", ")}`);
  return found;
}

/** `enqueue` adds all jobs; `run` gives when it began and ended, in milliseconds of `performance.now()`. */
export async function measure(system, settings, enqueue, run) {
  const adding = performance.now();
  await enqueue();
  const added = performance.now();
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("VACUUM ANALYZE");
  await client.query("CHECKPOINT");
  const { began, ended } = await run(client);
  await client.end();
  const { version } = JSON.parse(readFileSync(new URL(`node_modules/${system}/package.json`, import.meta.url)));
  const seconds = (ended - began) / 1000;
  const row = { system, version, jobs, seconds, jobs_per_second: jobs / seconds };
  console.log(JSON.stringify({ ...row, enqueue_seconds: (added - adding) / 1000, settings }));
}
