-- How each door stands, as its controller told last.
CREATE TABLE door_states (
    organisation_id bigint NOT NULL,
    access_point_id integer NOT NULL,
    is_open boolean,
    alarm text CHECK (alarm IN ('forced', 'held')),
    fire boolean NOT NULL DEFAULT false,
    told_at double precision NOT NULL,
    PRIMARY KEY (organisation_id, access_point_id),
    FOREIGN KEY (organisation_id, access_point_id) REFERENCES access_points (organisation_id, id) ON DELETE CASCADE
);

-- What a door is losing, for the list of who may open it.
CREATE INDEX removed_grants_by_door ON desired_records (organisation_id, (split_part(key, '.', 2)))
    WHERE kind = 'grant' AND body IS NULL;

-- How a controller is, as it said on its link.
ALTER TABLE controller_links ADD COLUMN backlog bigint; -- facts that the cloud did not have yet
ALTER TABLE controller_links ADD COLUMN clock_offset double precision; -- seconds ahead of the cloud
ALTER TABLE controller_links ADD COLUMN own_clock boolean;
