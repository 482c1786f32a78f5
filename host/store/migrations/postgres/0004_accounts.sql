-- The account of a connection at its partner: rate limits, pauses, breaker and calls under way, as one value.

CREATE TABLE account (
    tenant TEXT COLLATE "C" NOT NULL,
    connection TEXT COLLATE "C" NOT NULL,
    -- Which account, where a connection has had several: the partner's origin.
    name TEXT COLLATE "C" NOT NULL,
    state TEXT NOT NULL,
    -- As of the last call, for people.
    limits TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, connection, name)
);
