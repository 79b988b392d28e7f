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
CREATE FUNCTION evidence_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'evidence is append-only';
END $$;
CREATE TRIGGER evidence_is_append_only BEFORE UPDATE OR DELETE ON evidence
    FOR EACH ROW EXECUTE FUNCTION evidence_is_append_only();
