// pg-boss: one loop that fetches a batch and completes it in one call.
import { PgBoss } from "pg-boss";
import { chosen, jobs, measure, url } from "./measure.mjs";

const settings = chosen({ "batch-500": { batchSize: 500 } });
const name = "nothing";

// Without its clocks and its upkeep, which are for a longer life than this one.
const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false });
boss.on("error", (error) => {
  throw error;
});
await boss.start();
await boss.createQueue(name);

async function enqueue() {
  const batch = 10_000;
  for (let done = 0; done < jobs; done += batch) {
    const size = Math.min(batch, jobs - done);
    await boss.insert(name, Array.from({ length: size }, (_, i) => ({ data: { i: done + i } })));
  }
}

async function work() {
  const began = performance.now();
  for (let done = 0; done < jobs; ) {
    const batch = await boss.fetch(name, settings);
    // Its fetch answers errors with an empty list.
    if (batch.length === 0) throw new Error(`nothing fetched after ${done} of ${jobs} jobs`);
    const ids = batch.map((job) => job.id);
    const { affected } = await boss.complete(name, ids);
    if (affected !== ids.length) throw new Error(`${affected} of ${ids.length} jobs completed`);
    done += ids.length;
  }
  return { began, ended: performance.now() };
}

await measure("pg-boss", settings, enqueue, work);
await boss.stop({ graceful: false });
