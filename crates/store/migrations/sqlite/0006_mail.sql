-- Mails to be sent, once each by key, and those that were.
CREATE TABLE mail (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    key         TEXT NOT NULL UNIQUE,
    incident    BIGINT,
    purpose     TEXT NOT NULL,
    mail        TEXT NOT NULL,
    state       TEXT NOT NULL,
    attempts    BIGINT NOT NULL DEFAULT 0,
    due_at      BIGINT NOT NULL,
    owner       TEXT,
    lease_until BIGINT NOT NULL DEFAULT 0,
    error       TEXT,
    created_at  BIGINT NOT NULL,
    ended_at    BIGINT
);
CREATE INDEX mail_unsent ON mail (due_at) WHERE state <> 'sent';
CREATE INDEX mail_incident ON mail (incident, purpose);
