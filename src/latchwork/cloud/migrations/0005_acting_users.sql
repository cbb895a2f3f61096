-- Clients that act for users: whose tokens may be alive, and what every process must forget of them.

CREATE TABLE acting_users (
    organisation_id bigint NOT NULL,
    user_id bigint NOT NULL,
    until bigint NOT NULL, -- no token of theirs lives longer
    PRIMARY KEY (organisation_id, user_id),
    FOREIGN KEY (organisation_id, user_id) REFERENCES users (organisation_id, id) ON DELETE CASCADE
);
CREATE INDEX acting_users_by_end ON acting_users (until);

-- A client's, or one user's, or those of all users of an organisation.
ALTER TABLE token_revocations
    ALTER COLUMN client_id DROP NOT NULL,
    ADD COLUMN organisation_id bigint,
    ADD COLUMN user_id bigint,
    ADD CHECK ((client_id IS NULL) <> (organisation_id IS NULL));
CREATE INDEX token_revocations_by_user ON token_revocations (organisation_id, user_id) WHERE user_id IS NOT NULL;
