-- The operator's side of the queue: what ticks, who caused a job, who called it off, and how old things are.

-- A schedule that has come into being on some host. Its rule is in the program and its configuration.
CREATE TABLE schedule (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Nominal time of the tick that was fired last. Before the first one: absent, or since when ticks count.
    last_tick BIGINT,
    paused BIGINT NOT NULL CHECK (paused IN (0, 1)),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);

-- One row per firing: a tick happens once over all hosts.
CREATE TABLE schedule_tick (
    tenant TEXT NOT NULL,
    schedule TEXT NOT NULL,
    tick BIGINT NOT NULL,
    fired_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, schedule, tick)
);
CREATE INDEX schedule_tick_age ON schedule_tick (fired_at);

-- Who outside caused the work: the ERP or a connection. Absent for the host's own.
ALTER TABLE job ADD COLUMN source TEXT;
-- Who called it off. A worker ends it instead of running it, so that its flow hears of it.
ALTER TABLE job ADD COLUMN cancelled_by TEXT;
CREATE INDEX job_source ON job (tenant, source) WHERE source IS NOT NULL AND state <> 'parked';

-- What is over goes by age: work of a flow later than what only kept the house going.
DROP INDEX job_done_age;
CREATE INDEX job_done_age ON job_done (finished_at) WHERE flow IS NOT NULL;
CREATE INDEX job_done_quick ON job_done (finished_at) WHERE flow IS NULL;
CREATE INDEX event_age ON event (received_at);
CREATE INDEX tape_age ON tape (at);
CREATE INDEX flow_by_key ON flow (tenant, flow_key);
