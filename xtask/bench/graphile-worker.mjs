// graphile-worker: `defaults` is `run` as it comes, without the log line per job, and one job at a time; `concurrent` is
// the same with 24 jobs at a time; `documented` are the settings its
// documentation gives its own figures for (https://worker.graphile.org/docs/performance).
import { chosen, jobs, measure, url } from "./measure.mjs";

// Read when the library is loaded, and that is why it is loaded below.
process.env.NO_LOG_SUCCESS = "1";
const { EventEmitter } = await import("node:events");
const { Logger, makeWorkerUtils, run } = await import("graphile-worker");

const settings = chosen({
  defaults: {},
  concurrent: { concurrentJobs: 24, maxPoolSize: 25 },
  documented: {
    concurrentJobs: 24,
    maxPoolSize: 25,
    localQueue: { size: 500 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  },
});
const logger = new Logger(() => () => {});
const preset = { worker: { connectionString: url, logger, ...settings } };

const utils = await makeWorkerUtils({ preset });
await utils.migrate();

async function enqueue() {
  const batch = 10_000;
  for (let done = 0; done < jobs; done += batch) {
    const size = Math.min(batch, jobs - done);
    await utils.addJobs(Array.from({ length: size }, (_, i) => ({ identifier: "nothing", payload: { i: done + i } })));
  }
}

async function work(client) {
  const events = new EventEmitter();
  let began;
  events.once("worker:getJob:start", () => (began = performance.now()));
  let succeeded = 0;
  const failed = new Promise((_, reject) => {
    events.on("job:error", ({ error }) => reject(error));
    events.on("worker:fatalError", ({ error }) => reject(error));
  });
  const all = new Promise((resolve) => {
    events.on("job:success", () => {
      if (++succeeded === jobs) resolve();
    });
  });
  const runner = await run({ preset, events, taskList: { nothing: async () => {} } });
  await Promise.race([all, failed]);
  // The completion of a job is sent to the database and not waited for: the end is when the table is empty.
  const left = "SELECT EXISTS (SELECT 1 FROM graphile_worker._private_jobs) AS some";
  while ((await client.query(left)).rows[0].some) await new Promise((resolve) => setTimeout(resolve, 2));
  const ended = performance.now();
  await runner.stop();
  return { began, ended };
}

await measure("graphile-worker", settings, enqueue, work);
await utils.release();
