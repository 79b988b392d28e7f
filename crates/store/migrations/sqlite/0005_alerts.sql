-- Alerts as they stand; `conversation` is the key of the conversation that reports them.
CREATE TABLE alert (
    fingerprint    TEXT PRIMARY KEY,
    conversation   TEXT NOT NULL,
    name           TEXT NOT NULL,
    service        TEXT,
    firing         BIGINT NOT NULL,
    silenced_until BIGINT,
    starts_at      BIGINT NOT NULL,
    changed_at     BIGINT NOT NULL,
    record         TEXT NOT NULL
);
CREATE INDEX alert_conversation ON alert (conversation, firing, name);
CREATE INDEX alert_changed ON alert (changed_at);

-- The conversation of each group of alerts; locked while the group's alerts are taken in.
CREATE TABLE alert_group (
    name         TEXT PRIMARY KEY,
    conversation TEXT
);

-- Conversations about alerts: an incident's, or that of a group without one.
CREATE TABLE conversation (
    key    TEXT PRIMARY KEY,
    record TEXT NOT NULL
);

-- What is to be done later, once. A row is removed in the transaction that does it.
CREATE TABLE timer (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    due_at      BIGINT NOT NULL,
    payload     TEXT NOT NULL,
    lease_until BIGINT NOT NULL DEFAULT 0,
    UNIQUE (kind, subject)
);
CREATE INDEX timer_due ON timer (due_at);
