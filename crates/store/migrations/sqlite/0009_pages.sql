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
    used_by    TEXT
);
CREATE INDEX page_link_said ON page_link (expires_at) WHERE message IS NOT NULL;

CREATE TABLE page_session (
    digest     TEXT PRIMARY KEY,
    person     TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
