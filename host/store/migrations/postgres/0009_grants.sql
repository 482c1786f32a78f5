-- What each connection may do, as versions somebody stands for. The record of a version never changes but for what was
-- decided about it.

-- A connection that has been wired. The row is what hosts lock before they decide, and what they watch.
CREATE TABLE grant_head (
    tenant TEXT COLLATE "C" NOT NULL,
    connection TEXT COLLATE "C" NOT NULL,
    last_version BIGINT NOT NULL,
    -- Grows with every record and every decision.
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, connection)
);

CREATE TABLE grant_record (
    tenant TEXT COLLATE "C" NOT NULL,
    connection TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    adapter TEXT COLLATE "C" NOT NULL,
    adapter_version TEXT COLLATE "C" NOT NULL,
    publisher TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    -- What request and grant come to.
    surface TEXT NOT NULL,
    -- The version in force when it was recorded; absent for the first.
    against BIGINT,
    -- How it differs from that one, as it was shown to whoever decided.
    weight TEXT COLLATE "C" NOT NULL,
    changes TEXT NOT NULL,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('pending', 'accepted', 'refused', 'withdrawn')),
    actor TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- Absent while nobody has decided.
    decided_by TEXT,
    decided_at BIGINT,
    why TEXT,
    PRIMARY KEY (tenant, connection, version),
    CHECK ((state = 'pending') = (decided_by IS NULL)),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL))
);
-- A person is asked one thing at a time.
CREATE UNIQUE INDEX grant_record_pending ON grant_record (tenant, connection) WHERE state = 'pending';

-- What was asked for cannot be told differently afterwards.
CREATE TRIGGER grant_record_is_fixed BEFORE UPDATE OF tenant, connection, version, adapter, adapter_version, publisher,
    digest, surface, against, weight, changes, actor, created_at ON grant_record
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_update('what a grant asks for is never changed');
