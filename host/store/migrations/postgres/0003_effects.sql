-- The effect ledger, complete: keys a partner honours, accounts, late answers, what people decide, restores.

-- Under which account and endpoint it was sent last.
ALTER TABLE effect ADD COLUMN account_ref TEXT;
-- The key the partner is given, and until when it is relied on.
ALTER TABLE effect ADD COLUMN remote_key TEXT;
ALTER TABLE effect ADD COLUMN key_until BIGINT;
-- 1: `find-by-reference` can tell what became of it.
ALTER TABLE effect ADD COLUMN lookup BIGINT NOT NULL DEFAULT 0 CHECK (lookup IN (0, 1));
-- A success that came too late to be the outcome of its send.
ALTER TABLE effect ADD COLUMN late_response TEXT;
-- What it is worth, for the rule of four eyes.
ALTER TABLE effect ADD COLUMN worth TEXT;
-- What a person found at the partner, or the effect that undid this one.
ALTER TABLE effect ADD COLUMN reference TEXT;
-- Who asked for a second send that another person has to approve.
ALTER TABLE effect ADD COLUMN resend_by TEXT;
-- The restore it was opened after; 0 means none.
ALTER TABLE effect ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
-- 1: a restored backup may be older than what became of it; it is not sent before that is known.
ALTER TABLE effect ADD COLUMN reconcile_first BIGINT NOT NULL DEFAULT 0 CHECK (reconcile_first IN (0, 1));
-- The restore that last put it in question.
ALTER TABLE effect ADD COLUMN held_epoch BIGINT;
UPDATE effect SET lookup = 1 WHERE class = 'lookup';

CREATE INDEX effect_in_doubt ON effect (tenant, updated_at)
    WHERE state IN ('sending', 'uncertain', 'reconciling', 'parked');
CREATE INDEX effect_held ON effect (held_epoch, tenant) WHERE held_epoch IS NOT NULL;

-- Backups that were restored.
CREATE TABLE restore (
    epoch BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    -- What began before this moment was finished before the backup.
    since BIGINT NOT NULL,
    actor TEXT NOT NULL
);

-- Tenants whose outside changes are no longer held back after a restore.
CREATE TABLE restore_lift (
    tenant TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (tenant, epoch)
);
