-- The worst is told first: 1 (SEV1) to 5; 3 is ordinary.
ALTER TABLE outbox ADD COLUMN urgency BIGINT NOT NULL DEFAULT 3;
-- 1: makes the place that the rest of its lane goes to, and comes before it.
ALTER TABLE outbox ADD COLUMN opens BIGINT NOT NULL DEFAULT 0;
DROP INDEX outbox_waiting;
CREATE INDEX outbox_turn ON outbox (lane, opens, urgency, id) WHERE state = 'waiting';
-- The channel that an incident had until it could no longer be written to.
ALTER TABLE incident ADD COLUMN room TEXT;
