-- People and service accounts, teams, and who belongs to what. Every entity has members, a user's own one too.
ALTER TABLE users ADD COLUMN kind TEXT NOT NULL DEFAULT 'person';
-- What a service account is for; people are called by their login name.
ALTER TABLE users ADD COLUMN description TEXT;
ALTER TABLE users ADD COLUMN disabled_at_micros BIGINT;
-- The entity of requests that name none: a user's own, of a service account its team's.
ALTER TABLE users ADD COLUMN home_entity_id BIGINT REFERENCES entities (id);
UPDATE users SET home_entity_id = (SELECT MIN(e.id) FROM entities e WHERE e.owner_id = users.id);

ALTER TABLE entities ADD COLUMN kind TEXT NOT NULL DEFAULT 'user';

CREATE TABLE members (
    entity_id BIGINT NOT NULL REFERENCES entities (id),
    user_id BIGINT NOT NULL REFERENCES users (id),
    role TEXT NOT NULL,
    joined_at_micros BIGINT NOT NULL,
    PRIMARY KEY (entity_id, user_id)
);

CREATE INDEX members_by_user ON members (user_id);

INSERT INTO members (entity_id, user_id, role, joined_at_micros)
SELECT e.id, e.owner_id, 'admin', u.created_at_micros
FROM entities e
JOIN users u ON u.id = e.owner_id;

-- Invitations of people without an account: they become members when they get one.
CREATE TABLE invites (
    id INTEGER PRIMARY KEY,
    entity_id BIGINT NOT NULL REFERENCES entities (id),
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at_micros BIGINT NOT NULL,
    UNIQUE (entity_id, email)
);

-- The key of a new service account, for whoever created it: sealed with that one's own credentials, which the server does
-- not store, and gone after some minutes.
CREATE TABLE sealed_keys (
    user_id BIGINT PRIMARY KEY REFERENCES users (id),
    sealed BLOB NOT NULL,
    expires_at_micros BIGINT NOT NULL
);

-- Who started a run. Login names do not change.
ALTER TABLE runs ADD COLUMN username TEXT;
UPDATE runs SET username = (
    SELECT u.username
    FROM projects p
    JOIN entities e ON e.id = p.entity_id
    JOIN users u ON u.id = e.owner_id
    WHERE p.id = runs.project_id
);

-- A deleted project keeps its row, and gives its name back.
ALTER TABLE projects ADD COLUMN deleted_at_micros BIGINT;
