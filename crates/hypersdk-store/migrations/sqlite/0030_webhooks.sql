-- Webhooks: where events go, how far the log has been turned into deliveries, and the deliveries. Times are
-- microseconds since 1970 in UTC.

CREATE TABLE webhook_endpoints (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL UNIQUE,
    spec       TEXT    NOT NULL CHECK (json_valid(spec)),
    -- What may not be read without the key: secrets, headers, the URL.
    sealed     BLOB,
    version    INTEGER NOT NULL CHECK (version > 0),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- Endpoints that get nothing for the time being, also those of the configuration.
CREATE TABLE webhook_halts (
    endpoint TEXT    NOT NULL PRIMARY KEY,
    since    INTEGER NOT NULL,
    reason   TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_cursor (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    -- Every event up to here has its deliveries; NULL before the first use.
    position INTEGER,
    -- Rises with each change of an endpoint.
    revision INTEGER NOT NULL
) STRICT;

INSERT INTO webhook_cursor (id, position, revision) VALUES (1, NULL, 0);

CREATE TABLE webhook_deliveries (
    -- The order within a lane.
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    endpoint    TEXT    NOT NULL,
    lane        TEXT    NOT NULL,
    event       TEXT    NOT NULL,
    time        INTEGER NOT NULL,
    data        TEXT    NOT NULL CHECK (json_valid(data)),
    latest_only INTEGER NOT NULL CHECK (latest_only IN (0, 1)),
    state       TEXT    NOT NULL CHECK (state IN ('pending', 'in_flight', 'delivered', 'dead')),
    -- The oldest of its endpoint and lane that has not ended: the only one that may be claimed.
    head        INTEGER NOT NULL DEFAULT 0 CHECK (head IN (0, 1)),
    tries       INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0),
    attempts    TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(attempts)),
    created_at  INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    ended_at    INTEGER,
    -- The claim: whose it is, the number that proves it, and when it ends by itself.
    owner       TEXT,
    fence       INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER,

    CHECK ((state = 'in_flight') = (owner IS NOT NULL)),
    CHECK ((owner IS NULL) = (lease_until IS NULL)),
    CHECK ((state IN ('delivered', 'dead')) = (ended_at IS NOT NULL)),
    CHECK (head = 0 OR ended_at IS NULL)
) STRICT;

CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint, seq);
CREATE INDEX webhook_deliveries_open ON webhook_deliveries (endpoint, lane, seq) WHERE ended_at IS NULL;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint, due_at, seq)
    WHERE state = 'pending' AND head = 1;
CREATE INDEX webhook_deliveries_claimed ON webhook_deliveries (owner, endpoint) WHERE state = 'in_flight';
CREATE INDEX webhook_deliveries_dead ON webhook_deliveries (endpoint, seq) WHERE state = 'dead';
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (state, ended_at) WHERE ended_at IS NOT NULL;
