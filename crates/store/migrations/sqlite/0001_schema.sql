-- Only BIGINT/INTEGER, TEXT and BLOB columns: the one text of every query has to work on SQLite and
-- PostgreSQL through sqlx's Any driver. Times are microseconds since 1970, UTC. JSON is TEXT.

-- Running processes; work owned by one without a heartbeat is taken over. The heartbeat is the one
-- time that the database itself tells: clocks of processes differ.
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
CREATE INDEX entry_audit_actor ON entry (actor_id, seq) WHERE stream = 'audit';
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
    -- The id of whom `declared_by` describes.
    declarer      TEXT NOT NULL,
    assignments   TEXT NOT NULL,
    links         TEXT NOT NULL,
    declared_at   BIGINT NOT NULL,
    mitigated_at  BIGINT,
    resolved_at   BIGINT,
    -- The channel that an incident had until it could no longer be written to.
    room          TEXT
);
CREATE INDEX incident_place ON incident (channel, thread);
CREATE INDEX incident_room ON incident (room);
CREATE INDEX incident_hurts ON incident (severity, id DESC) WHERE status IN ('open', 'mitigated');
CREATE INDEX incident_open ON incident (id) WHERE status IN ('open', 'mitigated');
CREATE INDEX incident_declared ON incident (declarer, declared_at, id)
    WHERE status IN ('open', 'mitigated');

-- The services that open and mitigated incidents concern.
CREATE TABLE incident_service (
    service  TEXT NOT NULL,
    incident BIGINT NOT NULL,
    PRIMARY KEY (service, incident)
);
CREATE INDEX incident_service_incident ON incident_service (incident);

-- What is done to services: the intent is committed before the platform is touched.
CREATE TABLE action (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    request_key TEXT NOT NULL UNIQUE,
    service     TEXT NOT NULL,
    kind        TEXT NOT NULL,
    record      TEXT NOT NULL,
    state       TEXT NOT NULL,
    owner       TEXT NOT NULL,
    intended_at BIGINT NOT NULL,
    finished_at BIGINT,
    -- Whether it went well.
    good        BIGINT
);
-- The lock of a service: one unfinished action at a time.
CREATE UNIQUE INDEX action_service ON action (service) WHERE state = 'intended';
CREATE INDEX action_of ON action (service, id);
CREATE INDEX action_deploy ON action (service, id) WHERE kind = 'deploy';

-- What was cut off from a service, of each replica, and not joined again since.
CREATE TABLE attachment_cut (
    service TEXT NOT NULL,
    replica TEXT NOT NULL,
    joined  TEXT NOT NULL,
    record  TEXT NOT NULL,
    -- By which action, and in which place among what it cut.
    action  BIGINT NOT NULL,
    place   BIGINT NOT NULL,
    PRIMARY KEY (service, replica, joined)
);

CREATE TABLE question (
    token       TEXT PRIMARY KEY,
    record      TEXT NOT NULL,
    same        TEXT NOT NULL,
    state       TEXT NOT NULL,
    expires_at  BIGINT NOT NULL
);
-- The same question is asked once at a time.
CREATE UNIQUE INDEX question_same ON question (same) WHERE state = 'open';
CREATE INDEX question_overdue ON question (expires_at) WHERE state = 'open';

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
    created_at   BIGINT NOT NULL,
    -- The worst is told first: 1 (SEV1) to 5; 3 is ordinary.
    urgency      BIGINT NOT NULL DEFAULT 3,
    -- 1: makes the place that the rest of its lane goes to, and comes before it.
    opens        BIGINT NOT NULL DEFAULT 0,
    -- 1: it waits, and may be the first of its lane. Triggers say so, with whatever changes a row: all
    -- edits, each first one, and perhaps others that were.
    foremost     BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX outbox_new ON outbox (lane, opens DESC, urgency, id)
    WHERE state = 'waiting' AND sent_version = 0;
CREATE INDEX outbox_edit ON outbox (lane, opens DESC, urgency, id)
    WHERE state = 'waiting' AND sent_version > 0;
CREATE INDEX outbox_foremost ON outbox (lane) WHERE foremost = 1;
CREATE TRIGGER outbox_came AFTER INSERT ON outbox WHEN NEW.state = 'waiting' BEGIN
    UPDATE outbox SET foremost = 1 WHERE id = NEW.id AND NOT EXISTS (SELECT 1 FROM outbox
        WHERE foremost = 1 AND lane = NEW.lane AND sent_version = 0
        AND (opens > NEW.opens OR (opens = NEW.opens AND urgency <= NEW.urgency)));
END;
CREATE TRIGGER outbox_turned AFTER UPDATE OF state, lane, urgency, sent_version ON outbox
WHEN OLD.state = 'waiting' OR NEW.state = 'waiting' BEGIN
    UPDATE outbox SET foremost = CASE WHEN NEW.state = 'waiting' THEN 1 ELSE 0 END
    WHERE id = NEW.id AND (NEW.state <> 'waiting' OR NEW.sent_version > 0
        OR OLD.state <> 'waiting' OR NEW.lane <> OLD.lane OR NEW.urgency < OLD.urgency);
    UPDATE outbox SET foremost = 1
    WHERE OLD.foremost = 1 AND OLD.sent_version = 0 AND foremost = 0 AND id = (SELECT id FROM outbox
        WHERE state = 'waiting' AND sent_version = 0 AND lane = OLD.lane
        ORDER BY opens DESC, urgency, id LIMIT 1);
END;
CREATE TRIGGER outbox_went AFTER DELETE ON outbox
WHEN OLD.foremost = 1 AND OLD.sent_version = 0 BEGIN
    UPDATE outbox SET foremost = 1 WHERE foremost = 0 AND id = (SELECT id FROM outbox
        WHERE state = 'waiting' AND sent_version = 0 AND lane = OLD.lane
        ORDER BY opens DESC, urgency, id LIMIT 1);
END;

CREATE TABLE person (
    id        TEXT PRIMARY KEY,
    name      TEXT NOT NULL,
    real_name TEXT NOT NULL
);
CREATE INDEX person_name ON person (lower(name));
CREATE INDEX person_real_name ON person (lower(real_name));
CREATE TABLE group_member (
    group_id  TEXT NOT NULL,
    person_id TEXT NOT NULL,
    PRIMARY KEY (group_id, person_id)
);
CREATE INDEX group_member_person ON group_member (person_id);

-- Means of what the bot measured itself, for trends that survive a restart.
-- value: thousandths of the series' unit; at: microseconds, a whole minute.
CREATE TABLE sample (
    series TEXT NOT NULL,
    at BIGINT NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (series, at)
) WITHOUT ROWID;

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
    ended_at   BIGINT,
    incident   BIGINT
);
CREATE INDEX run_incident ON run (incident, id) WHERE incident IS NOT NULL;
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

-- What was kept of a service before it was cut off.
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
    record         TEXT NOT NULL,
    -- Alerts that flap count as firing; a timer looks for those that have calmed down.
    flaps          BIGINT NOT NULL DEFAULT 0,
    -- How bad it is (1 to 4), and why nobody is told of it though it fires: `silenced`,
    -- `inhibited` (by others, in Alertmanager), `unheard`.
    severity       BIGINT NOT NULL DEFAULT 3,
    muted          TEXT,
    -- When it was last reported; of a report that says nothing new, the record does not know it.
    heard_at       BIGINT NOT NULL DEFAULT 0
);
-- What is shown of a name: those first that fire, of those the worst.
CREATE INDEX alert_shown ON alert (conversation, name, firing DESC, severity, changed_at DESC);
CREATE INDEX alert_firing ON alert (conversation, starts_at) WHERE firing = 1;
CREATE INDEX alert_silenced ON alert (conversation, silenced_until) WHERE silenced_until IS NOT NULL;
CREATE INDEX alert_name ON alert (name);
CREATE INDEX alert_newest ON alert (changed_at) WHERE firing = 1;
CREATE INDEX alert_changed ON alert (changed_at, fingerprint);
CREATE INDEX alert_flaps ON alert (conversation, fingerprint) WHERE flaps = 1;

-- How the alerts stand, counted: so many (`alerts`) have these values (none: empty, 0). Triggers count
-- with whatever changes `alert`. That a silence ends by time is no change: who reads compares
-- `silenced_until` with now.
CREATE TABLE alert_count (
    conversation   TEXT NOT NULL,
    name           TEXT NOT NULL,
    service        TEXT NOT NULL,
    firing         BIGINT NOT NULL,
    severity       BIGINT NOT NULL,
    muted          TEXT NOT NULL,
    silenced_until BIGINT NOT NULL,
    alerts         BIGINT NOT NULL,
    PRIMARY KEY (conversation, firing, name, service, severity, muted, silenced_until)
) WITHOUT ROWID;
CREATE INDEX alert_count_firing ON alert_count (severity, service) WHERE firing = 1;
CREATE TRIGGER alert_came AFTER INSERT ON alert BEGIN
    INSERT INTO alert_count (conversation, firing, name, service, severity, muted, silenced_until, alerts)
    VALUES (NEW.conversation, NEW.firing, NEW.name, COALESCE(NEW.service, ''),
        NEW.severity, COALESCE(NEW.muted, ''), COALESCE(NEW.silenced_until, 0), 1)
    ON CONFLICT DO UPDATE SET alerts = alerts + 1;
END;
CREATE TRIGGER alert_went AFTER DELETE ON alert BEGIN
    UPDATE alert_count SET alerts = alerts - 1
    WHERE conversation = OLD.conversation AND firing = OLD.firing AND name = OLD.name
        AND service = COALESCE(OLD.service, '') AND severity = OLD.severity
        AND muted = COALESCE(OLD.muted, '') AND silenced_until = COALESCE(OLD.silenced_until, 0);
    DELETE FROM alert_count
    WHERE alerts = 0 AND conversation = OLD.conversation AND firing = OLD.firing AND name = OLD.name
        AND service = COALESCE(OLD.service, '') AND severity = OLD.severity
        AND muted = COALESCE(OLD.muted, '') AND silenced_until = COALESCE(OLD.silenced_until, 0);
END;
CREATE TRIGGER alert_turned AFTER UPDATE OF conversation, firing, name, service, severity, muted, silenced_until ON alert
WHEN OLD.conversation IS NOT NEW.conversation OR OLD.firing IS NOT NEW.firing OR OLD.name IS NOT NEW.name OR OLD.service IS NOT NEW.service
    OR OLD.severity IS NOT NEW.severity OR OLD.muted IS NOT NEW.muted OR OLD.silenced_until IS NOT NEW.silenced_until BEGIN
    UPDATE alert_count SET alerts = alerts - 1
    WHERE conversation = OLD.conversation AND firing = OLD.firing AND name = OLD.name
        AND service = COALESCE(OLD.service, '') AND severity = OLD.severity
        AND muted = COALESCE(OLD.muted, '') AND silenced_until = COALESCE(OLD.silenced_until, 0);
    DELETE FROM alert_count
    WHERE alerts = 0 AND conversation = OLD.conversation AND firing = OLD.firing AND name = OLD.name
        AND service = COALESCE(OLD.service, '') AND severity = OLD.severity
        AND muted = COALESCE(OLD.muted, '') AND silenced_until = COALESCE(OLD.silenced_until, 0);
    INSERT INTO alert_count (conversation, firing, name, service, severity, muted, silenced_until, alerts)
    VALUES (NEW.conversation, NEW.firing, NEW.name, COALESCE(NEW.service, ''),
        NEW.severity, COALESCE(NEW.muted, ''), COALESCE(NEW.silenced_until, 0), 1)
    ON CONFLICT DO UPDATE SET alerts = alerts + 1;
END;

-- The conversation of each group of alerts; locked while the group's alerts are taken in.
CREATE TABLE alert_group (
    name         TEXT PRIMARY KEY,
    conversation TEXT
);

-- Conversations about alerts: an incident's, or that of a group without one.
CREATE TABLE conversation (
    key      TEXT PRIMARY KEY,
    record   TEXT NOT NULL,
    -- Its incident, while Alertmanager leaves alerts of it out.
    left_out BIGINT
);
CREATE INDEX conversation_left_out ON conversation (left_out) WHERE left_out IS NOT NULL;

-- What is to be done later, once. A row is removed in the transaction that does it.
CREATE TABLE timer (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    due_at      BIGINT NOT NULL,
    payload     TEXT NOT NULL,
    owner       TEXT,
    lease_until BIGINT NOT NULL DEFAULT 0,
    UNIQUE (kind, subject)
);
CREATE INDEX timer_due ON timer (due_at);
CREATE INDEX timer_turn ON timer
    ((CASE WHEN due_at > lease_until THEN due_at ELSE lease_until END));

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
    ended_at    BIGINT,
    -- Of what asks for an acknowledgement, so that it is forgotten once somebody has.
    conversation TEXT
);
CREATE INDEX notification_state ON notification (state, channel, due_at);
CREATE INDEX notification_incident ON notification (incident, purpose);
CREATE INDEX notification_conversation ON notification (conversation)
    WHERE conversation IS NOT NULL;

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
CREATE INDEX oncall_override_in_force ON oncall_override
    (COALESCE(until_at, 9223372036854775807)) WHERE removed_at IS NULL;

-- What somebody wanted to be quiet, and how far that has come in Alertmanager.
CREATE TABLE silence (
    id     TEXT PRIMARY KEY,
    ended  BIGINT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX silence_ended ON silence (ended, id);

-- One-time links to the incident pages, and the sessions that they begin. Only the digests of the
-- tokens are kept: who reads these tables gets in nowhere.
CREATE TABLE page_link (
    digest     TEXT PRIMARY KEY,
    person     TEXT NOT NULL,
    incident   BIGINT,
    -- The message that says the link, until it is forgotten there.
    message    TEXT,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT,
    -- Digest of what tells the browser that used it, if it said.
    used_by    TEXT,
    -- A link may say a sentence for its person, once, instead of beginning a session.
    sentence   TEXT
);
CREATE INDEX page_link_over ON page_link (expires_at);
CREATE INDEX page_link_said ON page_link (expires_at) WHERE message IS NOT NULL;

CREATE TABLE page_session (
    digest     TEXT PRIMARY KEY,
    person     TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX page_session_over ON page_session (expires_at);

-- What is known of each heartbeat of the configuration.
CREATE TABLE heartbeat (
    name   TEXT PRIMARY KEY,
    record TEXT NOT NULL
);

-- Maintenance windows and freezes; of a service (empty: of all) there is one of each kind at a time.
CREATE TABLE period (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind      TEXT NOT NULL,
    service   TEXT NOT NULL,
    begins_at BIGINT NOT NULL,
    over      BIGINT NOT NULL,
    record    TEXT NOT NULL
);
CREATE UNIQUE INDEX period_on ON period (kind, service) WHERE over = 0;
CREATE INDEX period_last ON period (service, kind, id);
-- What a window holds.
CREATE INDEX alert_held ON alert (service, silenced_until) WHERE silenced_until IS NOT NULL;

-- What is known of each task of the configuration.
CREATE TABLE task (
    name   TEXT PRIMARY KEY,
    record TEXT NOT NULL
);

-- Checklists that people work on.
CREATE TABLE checklist (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    over   BIGINT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX checklist_shown ON checklist (over, id DESC);

-- The catalogue of backups.
CREATE TABLE backup (
    name   TEXT NOT NULL,
    id     TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (name, id)
);
CREATE INDEX backup_newest ON backup (id);
