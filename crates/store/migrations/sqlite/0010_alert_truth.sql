-- How bad an alert is (1 to 4), and why nobody is told of it though it fires: `silenced`, `inhibited`
-- (by others, in Alertmanager), `unheard`.
ALTER TABLE alert ADD COLUMN severity BIGINT NOT NULL DEFAULT 3;
ALTER TABLE alert ADD COLUMN muted TEXT;
