-- Visits at the desk: who came and left, and the link of each visitor's own page.

ALTER TABLE meetings ADD COLUMN checked_in_at bigint, ADD COLUMN checked_out_at bigint;
CREATE INDEX meetings_by_start ON meetings (organisation_id, start_time, id);
CREATE INDEX meetings_by_end ON meetings (organisation_id, end_time);

CREATE TABLE visit_links (
    token_hash bytea PRIMARY KEY,
    organisation_id bigint NOT NULL,
    meeting_id bigint NOT NULL,
    made_at bigint NOT NULL,
    UNIQUE (organisation_id, meeting_id),
    FOREIGN KEY (organisation_id, meeting_id) REFERENCES meetings (organisation_id, id) ON DELETE CASCADE
);
