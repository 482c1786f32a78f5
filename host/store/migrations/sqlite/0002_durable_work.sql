-- Durable work: what is over moves out of the way, a lane has one visible head, tenants have shares.

ALTER TABLE job_attempt RENAME TO job_attempt_old;
ALTER TABLE job RENAME TO job_old;

CREATE TABLE job (
    -- Grows with every insert and is never reused: the order of a lane.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    -- Absent: ordered with nothing.
    lane TEXT,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    flow TEXT,
    -- waiting: first of its lane, for its time. queued: behind another of its lane. ready: may be claimed.
    state TEXT NOT NULL CHECK (state IN ('waiting', 'queued', 'ready', 'running', 'parked')),
    -- 1: holds its lane; nobody behind it may run.
    head BIGINT NOT NULL CHECK (head IN (0, 1)),
    -- 1: interactive or cut-off work, which has a reserved share of the workers.
    urgent BIGINT NOT NULL CHECK (urgent IN (0, 1)),
    -- 1: parked, it goes on holding its lane.
    strict BIGINT NOT NULL CHECK (strict IN (0, 1)),
    priority BIGINT NOT NULL,
    run_at BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    max_attempts BIGINT NOT NULL,
    -- Grows with every claim and every release; 0 means never claimed.
    fence BIGINT NOT NULL,
    worker TEXT,
    lease_until BIGINT,
    started_at BIGINT,
    deadline BIGINT,
    coalesce_key TEXT,
    -- How many jobs caused one another before this one.
    depth BIGINT NOT NULL,
    fault TEXT,
    actor TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CHECK ((state = 'running') = (lease_until IS NOT NULL)),
    CHECK (state = 'queued' OR state = 'parked' OR head = 1),
    CHECK (state <> 'queued' OR (head = 0 AND lane IS NOT NULL))
);

-- What is over, until retention removes it. Apart from the work that is not, so that a claim never wades through it.
CREATE TABLE job_done (
    id TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    tenant TEXT NOT NULL,
    lane TEXT,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    flow TEXT,
    state TEXT NOT NULL CHECK (state IN ('done', 'cancelled')),
    priority BIGINT NOT NULL,
    run_at BIGINT NOT NULL,
    -- The last attempt; earlier ones are in job_attempt.
    attempt BIGINT NOT NULL,
    max_attempts BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    worker TEXT,
    started_at BIGINT,
    deadline BIGINT,
    depth BIGINT NOT NULL,
    fault TEXT,
    reason TEXT,
    actor TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL
);

-- An attempt that ended in anything but success. The running one is in job, the one that succeeded in job_done.
CREATE TABLE job_attempt (
    job TEXT NOT NULL,
    tenant TEXT NOT NULL,
    fence BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    worker TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    fault TEXT,
    PRIMARY KEY (job, fence)
);

-- How much of the workers a tenant gets when all want some. Absent: weight 1 and no limit.
CREATE TABLE tenant_share (
    tenant TEXT NOT NULL PRIMARY KEY,
    weight BIGINT NOT NULL CHECK (weight BETWEEN 1 AND 100),
    max_running BIGINT CHECK (max_running > 0)
);

INSERT INTO job (seq, id, tenant, lane, kind, payload, flow, state, head, urgent, strict, priority, run_at, attempt,
    max_attempts, fence, worker, lease_until, started_at, deadline, coalesce_key, depth, fault, actor, created_at,
    updated_at)
SELECT j.seq, j.id, j.tenant, j.lane, j.kind, j.payload, j.flow,
    CASE WHEN j.state <> 'ready' THEN j.state WHEN l.seq = j.seq THEN 'waiting' ELSE 'queued' END,
    CASE WHEN l.seq = j.seq THEN 1 ELSE 0 END,
    0, 0, j.priority, j.run_at, j.attempt, j.max_attempts, j.fence, j.worker, j.lease_until,
    CASE WHEN j.state = 'running' THEN j.updated_at END,
    j.deadline, j.coalesce_key, 0, j.fault, j.actor, j.created_at, j.updated_at
FROM job_old j LEFT JOIN (
    -- The first of each lane: the running one, else the oldest.
    SELECT tenant, lane, COALESCE(MIN(CASE WHEN state = 'running' THEN seq END), MIN(seq)) AS seq
    FROM job_old WHERE state IN ('ready', 'running') GROUP BY tenant, lane
) l ON l.seq = j.seq
WHERE j.state IN ('ready', 'running', 'parked');

INSERT INTO job_done (id, seq, tenant, lane, kind, payload, flow, state, priority, run_at, attempt, max_attempts, fence,
    worker, started_at, deadline, depth, fault, actor, created_at, finished_at)
SELECT id, seq, tenant, lane, kind, payload, flow, state, priority, run_at, attempt, max_attempts, fence, NULL, NULL,
    deadline, 0, fault, actor, created_at, COALESCE(finished_at, updated_at)
FROM job_old WHERE state IN ('done', 'cancelled');

INSERT INTO job_attempt (job, tenant, fence, attempt, worker, started_at, finished_at, outcome, reason, fault)
SELECT job, tenant, fence, attempt, worker, started_at, finished_at, outcome, reason, fault
FROM job_attempt_old WHERE finished_at IS NOT NULL AND outcome IS NOT NULL;

DROP TABLE job_attempt_old;
DROP TABLE job_old;

-- The lane rule, kept by the database itself: one job holds a lane.
CREATE UNIQUE INDEX job_head ON job (tenant, lane) WHERE head = 1 AND lane IS NOT NULL;
CREATE INDEX job_behind ON job (tenant, lane, seq) WHERE state = 'queued';
CREATE INDEX job_ready ON job (urgent, tenant, priority DESC, seq) WHERE state = 'ready';
CREATE INDEX job_due ON job (run_at) WHERE state = 'waiting';
CREATE INDEX job_lease ON job (lease_until, tenant) WHERE state = 'running';
CREATE INDEX job_cutoff ON job (deadline) WHERE state = 'ready' AND urgent = 0 AND deadline IS NOT NULL;
CREATE UNIQUE INDEX job_coalesce ON job (tenant, coalesce_key)
    WHERE coalesce_key IS NOT NULL AND fence = 0 AND state IN ('waiting', 'queued', 'ready');
CREATE INDEX job_parked ON job (tenant, seq) WHERE state = 'parked';
CREATE INDEX job_flow ON job (tenant, flow, seq) WHERE flow IS NOT NULL;
CREATE INDEX job_done_flow ON job_done (tenant, flow, seq) WHERE flow IS NOT NULL;
CREATE INDEX job_done_age ON job_done (finished_at);
