-- People, permissions, cards; schedules and holidays; door modes.

ALTER TABLE organisations ADD COLUMN attendance_module boolean NOT NULL DEFAULT false;
ALTER TABLE organisations ADD COLUMN users integer NOT NULL DEFAULT 0; -- how many there are: a count over a million is slow

-- From when on a record has been there without a break: a later change leaves it assigned.
ALTER TABLE desired_records ADD COLUMN since bigint NOT NULL DEFAULT 0;
UPDATE desired_records SET since = revision;

CREATE TABLE roles (
    organisation_id bigint NOT NULL REFERENCES organisations (id),
    id integer NOT NULL,
    name text NOT NULL CHECK (name IN ('end_user', 'site_admin', 'super_admin', 'front_desk', 'manager')),
    PRIMARY KEY (organisation_id, id),
    UNIQUE (organisation_id, name)
);
INSERT INTO roles SELECT o.id, r.id, r.name FROM organisations o,
    (VALUES (1, 'end_user'), (2, 'site_admin'), (3, 'super_admin'), (4, 'front_desk'), (5, 'manager')) AS r (id, name);

CREATE TABLE users (
    organisation_id bigint NOT NULL REFERENCES organisations (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL,
    email text NOT NULL,
    phone text NOT NULL,
    employee_code text NOT NULL,
    home_site_id integer,
    roles text[] NOT NULL,
    admin_of_sites integer[] NOT NULL,
    terms integer[] NOT NULL,
    reporting_to bigint,
    joining_date text NOT NULL,
    probation_period text NOT NULL,
    gender text NOT NULL,
    access jsonb NOT NULL,
    pin_salt bytea NOT NULL,
    pin_hash bytea NOT NULL,
    access_expires_at bigint,
    deactivated_at bigint,
    version integer NOT NULL DEFAULT 1,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    words tsvector GENERATED ALWAYS AS (to_tsvector('simple', name)) STORED,
    PRIMARY KEY (organisation_id, id),
    FOREIGN KEY (organisation_id, home_site_id) REFERENCES sites (organisation_id, id),
    FOREIGN KEY (organisation_id, reporting_to) REFERENCES users (organisation_id, id)
        ON DELETE SET NULL (reporting_to)
);
CREATE INDEX users_by_word ON users USING gin (words);
CREATE INDEX users_by_email ON users (organisation_id, lower(email)) WHERE email <> '';
CREATE INDEX users_by_phone ON users (organisation_id, phone) WHERE phone <> '';
CREATE INDEX users_by_employee_code ON users (organisation_id, employee_code) WHERE employee_code <> '';
CREATE INDEX users_by_home ON users (organisation_id, home_site_id, id);
CREATE INDEX users_by_term ON users USING gin (terms) WHERE terms <> '{}';
CREATE INDEX users_by_chief ON users (organisation_id, reporting_to) WHERE reporting_to IS NOT NULL;

CREATE TABLE cards (
    organisation_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    number bigint NOT NULL CHECK (number >= 0),
    user_id bigint NOT NULL,
    is_saams boolean NOT NULL DEFAULT false, -- the one card that the SAAMS wire assigns and unassigns
    created_at bigint NOT NULL,
    PRIMARY KEY (organisation_id, id),
    UNIQUE (organisation_id, number),
    FOREIGN KEY (organisation_id, user_id) REFERENCES users (organisation_id, id) ON DELETE CASCADE
);
CREATE INDEX cards_by_user ON cards (organisation_id, user_id);
CREATE UNIQUE INDEX one_saams_card ON cards (organisation_id, user_id) WHERE is_saams;

CREATE TABLE schedules (
    organisation_id bigint NOT NULL REFERENCES organisations (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL,
    week jsonb NOT NULL,
    holiday jsonb NOT NULL,
    PRIMARY KEY (organisation_id, id)
);

CREATE TABLE holidays (
    organisation_id bigint NOT NULL,
    site_id integer NOT NULL,
    day date NOT NULL,
    PRIMARY KEY (organisation_id, site_id, day),
    FOREIGN KEY (organisation_id, site_id) REFERENCES sites (organisation_id, id) ON DELETE CASCADE
);

CREATE TABLE grants (
    organisation_id bigint NOT NULL,
    user_id bigint NOT NULL,
    access_point_id integer NOT NULL,
    starts_at bigint,
    ends_at bigint CHECK (ends_at > starts_at),
    schedule_id bigint,
    created_at bigint NOT NULL,
    PRIMARY KEY (organisation_id, user_id, access_point_id),
    FOREIGN KEY (organisation_id, user_id) REFERENCES users (organisation_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organisation_id, access_point_id) REFERENCES access_points (organisation_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organisation_id, schedule_id) REFERENCES schedules (organisation_id, id)
);
CREATE INDEX grants_by_door ON grants (organisation_id, access_point_id, user_id);
CREATE INDEX grants_by_schedule ON grants (organisation_id, schedule_id) WHERE schedule_id IS NOT NULL;

CREATE INDEX desired_grants_by_door ON desired_records (organisation_id, (split_part(key, '.', 2))) WHERE kind = 'grant';

CREATE TABLE door_modes (
    organisation_id bigint NOT NULL,
    access_point_id integer NOT NULL,
    mode text NOT NULL CHECK (mode IN ('unlocked', 'locked')),
    until bigint,
    PRIMARY KEY (organisation_id, access_point_id),
    FOREIGN KEY (organisation_id, access_point_id) REFERENCES access_points (organisation_id, id) ON DELETE CASCADE
);

CREATE TABLE commands (
    organisation_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    access_point_id integer NOT NULL,
    controller_id bigint NOT NULL,
    verb text NOT NULL,
    seconds double precision NOT NULL,
    user_id bigint,
    made_at double precision NOT NULL,
    session bigint, -- that it was sent on
    outcome text,
    PRIMARY KEY (organisation_id, id)
);
CREATE INDEX commands_waiting ON commands (controller_id, id) WHERE session IS NULL AND outcome IS NULL;
