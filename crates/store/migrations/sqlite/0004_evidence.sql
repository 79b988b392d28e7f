-- Whether an action went well; what was kept of a service before it was cut off.
ALTER TABLE action ADD COLUMN good BIGINT;
CREATE TABLE evidence (
    action BIGINT NOT NULL,
    name   TEXT NOT NULL,
    at     BIGINT NOT NULL,
    text   TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (action, name)
);
CREATE TRIGGER evidence_is_not_changed BEFORE UPDATE ON evidence
BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
CREATE TRIGGER evidence_is_not_removed BEFORE DELETE ON evidence
BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
