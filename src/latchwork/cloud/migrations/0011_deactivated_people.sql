-- The few who are deactivated are found among the many who are not.
CREATE INDEX users_deactivated ON users (organisation_id, id) WHERE deactivated_at IS NOT NULL;
