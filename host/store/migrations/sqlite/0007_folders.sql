-- Files adapters have left in drop folders. A name is used once; the row outlives the file.
CREATE TABLE folder_put (
    tenant TEXT NOT NULL,
    connection TEXT NOT NULL,
    folder TEXT NOT NULL,
    -- The name in lower case: two that differ only in case are one.
    name_key TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    -- 'writing': not there; 'ready': whole, and there unless it still lies aside; 'there': nobody was seen to take it
    -- away; 'gone': somebody did.
    state TEXT NOT NULL CHECK (state IN ('writing', 'ready', 'there', 'gone')),
    actor TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, connection, folder, name_key)
);
CREATE INDEX folder_put_there ON folder_put (tenant, connection, folder) WHERE state <> 'gone';
