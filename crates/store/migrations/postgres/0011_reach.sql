-- What asks for an acknowledgement names its conversation, so that it is forgotten once somebody has.
ALTER TABLE notification ADD COLUMN conversation TEXT;
CREATE INDEX notification_conversation ON notification (conversation)
    WHERE conversation IS NOT NULL;
-- A link may say a sentence for its person, once, instead of beginning a session.
ALTER TABLE page_link ADD COLUMN sentence TEXT;
