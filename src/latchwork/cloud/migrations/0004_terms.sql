-- Terms: labels for users. And what was taken from a user, found without reading what others hold.

ALTER TABLE organisations ADD COLUMN last_term_id integer NOT NULL DEFAULT 0;

CREATE TABLE terms (
    organisation_id bigint NOT NULL REFERENCES organisations (id),
    id integer NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (organisation_id, id),
    UNIQUE (organisation_id, name)
);

CREATE INDEX removed_grants_by_user ON desired_records (organisation_id, (split_part(key, '.', 1)))
    WHERE kind = 'grant' AND body IS NULL;
