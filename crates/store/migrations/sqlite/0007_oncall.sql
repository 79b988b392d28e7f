-- Who is on call in place of the one whose turn it is. Of several at the same time the newest counts.
CREATE TABLE oncall_override (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    rotation   TEXT NOT NULL,
    person     TEXT NOT NULL,
    from_at    BIGINT NOT NULL,
    until_at   BIGINT,
    said_by    TEXT NOT NULL,
    removed_at BIGINT
);
CREATE INDEX oncall_override_in_force ON oncall_override (until_at) WHERE removed_at IS NULL;

-- Alerts that flap count as firing; a timer looks for those that have calmed down.
ALTER TABLE alert ADD COLUMN flaps BIGINT NOT NULL DEFAULT 0;
CREATE INDEX alert_flaps ON alert (conversation) WHERE flaps = 1;
