-- Accounts: the log-in of one user; sessions; links with which a password is chosen.

CREATE TABLE accounts (
    organisation_id bigint NOT NULL,
    user_id bigint NOT NULL,
    email text NOT NULL,
    password_hash text NOT NULL DEFAULT '', -- empty: none yet
    last_log_in_at bigint,
    PRIMARY KEY (organisation_id, user_id),
    FOREIGN KEY (organisation_id, user_id) REFERENCES users (organisation_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX accounts_by_email ON accounts (lower(email)); -- of all organisations: who logs in names none

CREATE TABLE sessions (
    organisation_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    user_id bigint NOT NULL,
    token_hash bytea NOT NULL,
    device text NOT NULL,
    network text NOT NULL,
    created_at bigint NOT NULL,
    seen_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (organisation_id, id),
    FOREIGN KEY (organisation_id, user_id) REFERENCES accounts (organisation_id, user_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX sessions_by_token ON sessions (token_hash);
CREATE INDEX sessions_by_user ON sessions (organisation_id, user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE password_links (
    token_hash bytea PRIMARY KEY,
    organisation_id bigint NOT NULL,
    user_id bigint NOT NULL,
    expires_at bigint NOT NULL,
    FOREIGN KEY (organisation_id, user_id) REFERENCES accounts (organisation_id, user_id) ON DELETE CASCADE
);
CREATE INDEX password_links_by_user ON password_links (organisation_id, user_id);

-- Wrong passwords, by account and network: whoever guesses waits, the account's holder elsewhere does not.
CREATE TABLE failed_log_ins (
    email_hash bytea NOT NULL, -- also of accounts that do not exist
    network text NOT NULL,
    failures integer NOT NULL,
    last_at bigint NOT NULL,
    PRIMARY KEY (email_hash, network)
);
CREATE INDEX failed_log_ins_by_age ON failed_log_ins (last_at);

-- Networks from which somebody has logged in: a flood of guesses from elsewhere does not keep them out there.
CREATE TABLE familiar_networks (
    organisation_id bigint NOT NULL,
    user_id bigint NOT NULL,
    network text NOT NULL,
    last_at bigint NOT NULL,
    PRIMARY KEY (organisation_id, user_id, network),
    FOREIGN KEY (organisation_id, user_id) REFERENCES accounts (organisation_id, user_id) ON DELETE CASCADE
);

-- Whoever is logged in uses idempotency keys, too, without a client: theirs are kept under client 0.
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_organisation_id_client_id_fkey;
