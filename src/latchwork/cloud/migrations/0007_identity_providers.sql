-- An organisation's own OpenID provider, and sign-ins under way there.

CREATE TABLE identity_providers (
    organisation_id bigint PRIMARY KEY REFERENCES organisations (id),
    name text NOT NULL,
    issuer text NOT NULL,
    client_id text NOT NULL,
    sealed_secret bytea NOT NULL,
    domains text[] NOT NULL
);
CREATE INDEX identity_providers_by_domain ON identity_providers USING gin (domains);

CREATE TABLE sign_ins (
    state_hash bytea PRIMARY KEY,
    organisation_id bigint NOT NULL REFERENCES identity_providers (organisation_id) ON DELETE CASCADE,
    nonce text NOT NULL,
    verifier text NOT NULL,
    expires_at bigint NOT NULL
);
CREATE INDEX sign_ins_by_end ON sign_ins (expires_at);
