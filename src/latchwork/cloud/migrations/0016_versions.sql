-- What each change raises by one, so that a change of something older is refused.
ALTER TABLE organisations ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE sites ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE access_points ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE schedules ADD COLUMN version integer NOT NULL DEFAULT 1;
