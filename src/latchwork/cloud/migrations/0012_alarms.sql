-- Alarms of the log, and who has seen to them. An alarm is open until somebody acknowledges it.

CREATE TABLE alarms (
    organisation_id bigint NOT NULL,
    number bigint NOT NULL, -- of its event
    acknowledged_at bigint,
    acknowledged_by jsonb,
    note text NOT NULL DEFAULT '',
    PRIMARY KEY (organisation_id, number),
    FOREIGN KEY (organisation_id, number) REFERENCES events (organisation_id, number) ON DELETE CASCADE
);
CREATE INDEX open_alarms ON alarms (organisation_id, number) WHERE acknowledged_at IS NULL;
