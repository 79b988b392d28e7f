-- Runs of runbooks. The runbook's text is kept with the run: a file that is edited later changes no
-- run under way. What the columns of JSON hold is the engine's (src/runbook/engine/state.rs).
CREATE TABLE run (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    key        TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    source     TEXT NOT NULL,
    start      TEXT NOT NULL,
    told       TEXT NOT NULL,
    stop       TEXT,
    verdict    TEXT,
    state      TEXT NOT NULL,
    owner      TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at   BIGINT
);
CREATE INDEX run_unfinished ON run (id) WHERE state = 'running';

CREATE TABLE run_step (
    run    BIGINT NOT NULL,
    path   TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (run, path)
);

-- Which run may change a service.
CREATE TABLE run_lock (
    service TEXT PRIMARY KEY,
    run     BIGINT NOT NULL
);

-- What a run has to take up: results of its changes, answers, decisions.
CREATE TABLE run_event (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    key   TEXT NOT NULL UNIQUE,
    run   BIGINT NOT NULL,
    event TEXT NOT NULL
);
CREATE INDEX run_event_run ON run_event (run, id);
