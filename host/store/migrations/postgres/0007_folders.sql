-- Files adapters have left in drop folders. A name is used once; the row outlives the file.
CREATE TABLE folder_put (
    tenant TEXT COLLATE "C" NOT NULL,
    connection TEXT COLLATE "C" NOT NULL,
    folder TEXT COLLATE "C" NOT NULL,
    -- The name in lower case: two that differ only in case are one.
    name_key TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    size BIGINT NOT NULL,
    -- 'writing': not there; 'ready': whole, and there unless it still lies aside; 'there': nobody was seen to take it
    -- away; 'gone': somebody did.
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('writing', 'ready', 'there', 'gone')),
    actor TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, connection, folder, name_key)
);
CREATE INDEX folder_put_there ON folder_put (tenant, connection, folder) WHERE state <> 'gone';
