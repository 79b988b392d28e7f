-- What somebody wanted to be quiet, and how far that has come in Alertmanager.
CREATE TABLE silence (
    id     TEXT PRIMARY KEY,
    ended  BIGINT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX silence_ended ON silence (ended);
