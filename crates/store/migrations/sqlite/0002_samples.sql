-- Means of what the bot measured itself, for trends that survive a restart.
-- value: thousandths of the series' unit; at: microseconds, a whole minute.
CREATE TABLE sample (
    series TEXT NOT NULL,
    at BIGINT NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (series, at)
) WITHOUT ROWID;
