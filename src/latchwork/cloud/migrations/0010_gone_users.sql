-- The names of deleted users, for what their doors tell late.

CREATE INDEX gone_users ON events (organisation_id, subject) WHERE type = 'user_deleted';
