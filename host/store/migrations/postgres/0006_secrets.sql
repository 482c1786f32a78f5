-- Secrets at rest: sealed values, the tenants' keys that seal them, and the operator's keys that wrap those.

-- An operator's key, by a name that does not give it away, and a known text sealed with it.
CREATE TABLE vault_key (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    check_value BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- A tenant's own key. Without one nothing of the tenant opens.
CREATE TABLE tenant_key (
    tenant TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- Which key wraps it.
    vault_key TEXT COLLATE "C",
    wrapped BYTEA,
    -- Grows with every change of the tenant's secrets: what hosts compare.
    revision BIGINT NOT NULL,
    shredded_at BIGINT,
    updated_at BIGINT NOT NULL,
    CHECK ((wrapped IS NULL) = (vault_key IS NULL))
);

-- A slot that has had a value. The row stays when the value goes: a version's number is never given twice.
CREATE TABLE secret (
    tenant TEXT COLLATE "C" NOT NULL,
    connection TEXT COLLATE "C" NOT NULL,
    slot TEXT COLLATE "C" NOT NULL,
    last_version BIGINT NOT NULL,
    -- Which version somebody is exchanging for a new one at the partner, and how long nobody else may. It outlives that
    -- time: then the exchange was cut off.
    exchange_version BIGINT,
    exchange_until BIGINT,
    PRIMARY KEY (tenant, connection, slot)
);

CREATE TABLE secret_version (
    tenant TEXT COLLATE "C" NOT NULL,
    connection TEXT COLLATE "C" NOT NULL,
    slot TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    stage TEXT NOT NULL CHECK (stage IN ('next', 'current', 'previous')),
    sealed BYTEA NOT NULL,
    -- Two bytes of a digest of the account's name, or of the first value where it has none.
    account TEXT NOT NULL,
    -- Of a previous one: from then on it is not used.
    valid_until BIGINT,
    used_at BIGINT,
    actor TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    stage_since BIGINT NOT NULL,
    PRIMARY KEY (tenant, connection, slot, version)
);
CREATE UNIQUE INDEX secret_version_stage ON secret_version (tenant, connection, slot, stage);
