-- Only BIGINT/INTEGER, TEXT and BLOB columns: the one text of every query has to work on SQLite and
-- PostgreSQL through sqlx's Any driver. Times are microseconds since 1970, UTC. JSON is TEXT.

-- Running processes; work owned by one without a heartbeat is taken over.
CREATE TABLE instance (
    id           TEXT PRIMARY KEY,
    kind         TEXT NOT NULL,
    heartbeat_at BIGINT NOT NULL
);

-- Requests, once each by key.
CREATE TABLE inbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    key         TEXT NOT NULL UNIQUE,
    received_at BIGINT NOT NULL,
    request     TEXT NOT NULL,
    state       TEXT NOT NULL,
    owner       TEXT,
    attempts    BIGINT NOT NULL DEFAULT 0,
    done_at     BIGINT
);
CREATE INDEX inbox_waiting ON inbox (id) WHERE state <> 'done';

-- The end of each chain.
CREATE TABLE stream (
    name TEXT PRIMARY KEY,
    seq  BIGINT NOT NULL,
    hash TEXT NOT NULL,
    at   BIGINT NOT NULL
);

CREATE TABLE entry (
    stream     TEXT NOT NULL,
    seq        BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    actor_id   TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    kind       TEXT NOT NULL,
    text       TEXT NOT NULL,
    data       TEXT NOT NULL,
    prev       TEXT NOT NULL,
    hash       TEXT NOT NULL,
    PRIMARY KEY (stream, seq)
);
CREATE TRIGGER entry_is_not_changed BEFORE UPDATE ON entry
BEGIN SELECT RAISE(ABORT, 'timeline entries are append-only'); END;
CREATE TRIGGER entry_is_not_removed BEFORE DELETE ON entry
BEGIN SELECT RAISE(ABORT, 'timeline entries are append-only'); END;

CREATE TABLE incident (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    title         TEXT NOT NULL,
    severity      TEXT NOT NULL,
    status        TEXT NOT NULL,
    services      TEXT NOT NULL,
    channel       TEXT,
    thread        TEXT,
    declared_by   TEXT NOT NULL,
    assignments   TEXT NOT NULL,
    links         TEXT NOT NULL,
    declared_at   BIGINT NOT NULL,
    mitigated_at  BIGINT,
    resolved_at   BIGINT
);
CREATE INDEX incident_place ON incident (channel, thread);

-- What is done to services: the intent is committed before the platform is touched.
CREATE TABLE action (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    request_key TEXT NOT NULL UNIQUE,
    service     TEXT NOT NULL,
    record      TEXT NOT NULL,
    state       TEXT NOT NULL,
    owner       TEXT NOT NULL,
    intended_at BIGINT NOT NULL,
    finished_at BIGINT
);
-- The lock of a service: one unfinished action at a time.
CREATE UNIQUE INDEX action_service ON action (service) WHERE state = 'intended';

CREATE TABLE question (
    token       TEXT PRIMARY KEY,
    record      TEXT NOT NULL,
    same        TEXT NOT NULL,
    state       TEXT NOT NULL,
    expires_at  BIGINT NOT NULL
);
-- The same question is asked once at a time.
CREATE UNIQUE INDEX question_same ON question (same) WHERE state = 'open';

CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    key          TEXT NOT NULL UNIQUE,
    lane         TEXT NOT NULL,
    outgoing     TEXT NOT NULL,
    version      BIGINT NOT NULL,
    sent_version BIGINT NOT NULL,
    state        TEXT NOT NULL,
    channel      TEXT,
    ts           TEXT,
    via_url      BIGINT NOT NULL DEFAULT 0,
    attempted    BIGINT NOT NULL DEFAULT 0,
    attempts     BIGINT NOT NULL DEFAULT 0,
    due_at       BIGINT NOT NULL,
    owner        TEXT,
    lease_until  BIGINT NOT NULL DEFAULT 0,
    error        TEXT,
    created_at   BIGINT NOT NULL
);
CREATE INDEX outbox_waiting ON outbox (lane, id) WHERE state = 'waiting';

CREATE TABLE person (
    id        TEXT PRIMARY KEY,
    name      TEXT NOT NULL,
    real_name TEXT NOT NULL
);
CREATE TABLE group_member (
    group_id  TEXT NOT NULL,
    person_id TEXT NOT NULL,
    PRIMARY KEY (group_id, person_id)
);
