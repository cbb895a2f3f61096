-- When a client last fetched a token.
ALTER TABLE clients ADD COLUMN last_used_at bigint;

-- Who changed what, the newest first: by what was done and who did it, by what it is about, and from when on.
CREATE INDEX deeds_by_type ON events (organisation_id, type, (actor ->> 'kind'), number)
    WHERE (actor ->> 'kind') <> 'controller';
CREATE INDEX deeds_by_subject ON events (organisation_id, subject, number) WHERE (actor ->> 'kind') <> 'controller';
CREATE INDEX deeds_by_time ON events (organisation_id, recorded_at, number) WHERE (actor ->> 'kind') <> 'controller';
