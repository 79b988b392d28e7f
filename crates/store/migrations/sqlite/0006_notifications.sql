-- Notifications to be sent, once each by key, and those that were. The channel is the way they go.
CREATE TABLE notification (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    key         TEXT NOT NULL UNIQUE,
    channel     TEXT NOT NULL,
    incident    BIGINT,
    purpose     TEXT NOT NULL,
    record      TEXT NOT NULL,
    state       TEXT NOT NULL,
    attempts    BIGINT NOT NULL DEFAULT 0,
    due_at      BIGINT NOT NULL,
    owner       TEXT,
    lease_until BIGINT NOT NULL DEFAULT 0,
    error       TEXT,
    created_at  BIGINT NOT NULL,
    ended_at    BIGINT
);
CREATE INDEX notification_unsent ON notification (channel, due_at) WHERE state <> 'sent';
CREATE INDEX notification_incident ON notification (incident, purpose);
