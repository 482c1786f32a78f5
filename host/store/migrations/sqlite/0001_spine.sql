-- The spine: what arrived, what is to be done, what was done outside, and who did it.
-- Times are milliseconds since 1970 (UTC). JSON, ids and states are text. Every row names its tenant.

CREATE TABLE event (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    source TEXT NOT NULL,
    event_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    flow TEXT,
    body TEXT NOT NULL,
    actor TEXT NOT NULL,
    received_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX event_once ON event (tenant, source, event_key);
CREATE INDEX event_flow ON event (tenant, flow, received_at) WHERE flow IS NOT NULL;

CREATE TABLE job (
    -- Grows with every insert and is never reused: the order of a lane.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    lane TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    flow TEXT,
    state TEXT NOT NULL CHECK (state IN ('ready', 'running', 'done', 'parked', 'cancelled')),
    priority BIGINT NOT NULL,
    run_at BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    max_attempts BIGINT NOT NULL,
    -- Grows with every claim and every release; 0 means never claimed.
    fence BIGINT NOT NULL,
    worker TEXT,
    lease_until BIGINT,
    deadline BIGINT,
    coalesce_key TEXT,
    fault TEXT,
    actor TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    finished_at BIGINT,
    CHECK ((state = 'running') = (lease_until IS NOT NULL))
);
CREATE INDEX job_ready ON job (run_at, seq) WHERE state = 'ready';
CREATE INDEX job_lease ON job (lease_until) WHERE state = 'running';
CREATE INDEX job_lane ON job (tenant, lane, seq) WHERE state = 'ready';
-- The lane rule, kept by the database itself: one lease per lane.
CREATE UNIQUE INDEX job_lane_lease ON job (tenant, lane) WHERE state = 'running';
CREATE UNIQUE INDEX job_coalesce ON job (tenant, coalesce_key)
    WHERE coalesce_key IS NOT NULL AND state = 'ready' AND fence = 0;
CREATE INDEX job_parked ON job (tenant, seq) WHERE state = 'parked';
CREATE INDEX job_flow ON job (tenant, flow, seq) WHERE flow IS NOT NULL;
-- For counting. An index on every state would tempt the planner away from the ones a claim needs.
CREATE INDEX job_over ON job (state) WHERE state IN ('done', 'cancelled');

CREATE TABLE job_attempt (
    job TEXT NOT NULL REFERENCES job (id),
    tenant TEXT NOT NULL,
    fence BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    worker TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    outcome TEXT,
    reason TEXT,
    fault TEXT,
    PRIMARY KEY (job, fence)
);

CREATE TABLE flow (
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    flow_key TEXT NOT NULL,
    version BIGINT NOT NULL,
    status TEXT NOT NULL,
    state TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, flow_key)
);
CREATE INDEX flow_recent ON flow (tenant, updated_at);

CREATE TABLE effect (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    connection TEXT NOT NULL,
    adapter_digest TEXT,
    job TEXT NOT NULL,
    flow TEXT,
    step_key TEXT NOT NULL,
    effect_type TEXT,
    business_key TEXT,
    route TEXT NOT NULL,
    class TEXT NOT NULL,
    state TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    fence BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    send_deadline BIGINT,
    response TEXT,
    outcome TEXT,
    fault TEXT,
    absent_since BIGINT,
    released_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CHECK (business_key IS NULL OR effect_type IS NOT NULL)
);
CREATE UNIQUE INDEX effect_step ON effect (job, step_key);
CREATE UNIQUE INDEX effect_business ON effect (tenant, connection, effect_type, business_key)
    WHERE business_key IS NOT NULL AND released_at IS NULL;
CREATE INDEX effect_flow ON effect (tenant, flow, created_at) WHERE flow IS NOT NULL;

CREATE TABLE effect_history (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    effect TEXT NOT NULL REFERENCES effect (id),
    at BIGINT NOT NULL,
    from_state TEXT,
    to_state TEXT NOT NULL,
    actor TEXT NOT NULL,
    fence BIGINT NOT NULL,
    note TEXT
);
CREATE INDEX effect_history_effect ON effect_history (effect, seq);

CREATE TABLE exception (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    flow TEXT,
    code TEXT NOT NULL,
    severity TEXT NOT NULL,
    object TEXT NOT NULL,
    owner_role TEXT NOT NULL,
    cause TEXT NOT NULL,
    actions TEXT NOT NULL,
    seen BIGINT NOT NULL,
    raised_by TEXT NOT NULL,
    raised_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    resolved_by TEXT,
    resolved_at BIGINT,
    resolution TEXT,
    note TEXT
);
CREATE UNIQUE INDEX exception_open ON exception (tenant, code, object) WHERE resolved_at IS NULL;
CREATE INDEX exception_flow ON exception (tenant, flow, raised_at) WHERE flow IS NOT NULL;

CREATE TABLE kv (
    tenant TEXT NOT NULL,
    connection TEXT NOT NULL,
    entry_key TEXT NOT NULL,
    entry_value BLOB NOT NULL,
    size BIGINT NOT NULL,
    expires_at BIGINT,
    actor TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, connection, entry_key)
);

CREATE TABLE tape (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    job TEXT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    exchange TEXT NOT NULL
);
CREATE INDEX tape_job ON tape (tenant, job, seq);

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX audit_object ON audit (tenant, object, seq);

-- What happened cannot be told differently afterwards.
CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END;
CREATE TRIGGER effect_history_is_append_only BEFORE UPDATE ON effect_history
BEGIN SELECT RAISE(ABORT, 'effect history is never changed'); END;
