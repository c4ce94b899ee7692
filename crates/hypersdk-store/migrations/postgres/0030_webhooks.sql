-- Webhooks: where events go, how far the log has been turned into deliveries, and the deliveries. Times are
-- microseconds since 1970 in UTC.

CREATE TABLE webhook_endpoints (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         TEXT   COLLATE "C" NOT NULL UNIQUE,
    spec       TEXT   NOT NULL CHECK (spec::json IS NOT NULL),
    -- What may not be read without the key: secrets, headers, the URL.
    sealed     BYTEA,
    version    BIGINT NOT NULL CHECK (version > 0),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Endpoints that get nothing for the time being, also those of the configuration.
CREATE TABLE webhook_halts (
    endpoint TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    since    BIGINT NOT NULL,
    reason   TEXT   NOT NULL
);

CREATE TABLE webhook_cursor (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    -- Every event up to here has its deliveries; NULL before the first use.
    position BIGINT,
    -- Rises with each change of an endpoint.
    revision BIGINT NOT NULL
);

INSERT INTO webhook_cursor (id, position, revision) VALUES (1, NULL, 0);

CREATE TABLE webhook_deliveries (
    -- The order within a lane.
    seq         BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          TEXT    COLLATE "C" NOT NULL UNIQUE,
    endpoint    TEXT    COLLATE "C" NOT NULL,
    lane        TEXT    COLLATE "C" NOT NULL,
    event       TEXT    NOT NULL,
    time        BIGINT  NOT NULL,
    data        TEXT    NOT NULL CHECK (data::json IS NOT NULL),
    latest_only BOOLEAN NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('pending', 'in_flight', 'delivered', 'dead')),
    -- The oldest of its endpoint and lane that has not ended: the only one that may be claimed.
    head        BOOLEAN NOT NULL DEFAULT FALSE,
    tries       BIGINT  NOT NULL DEFAULT 0 CHECK (tries >= 0),
    attempts    TEXT    NOT NULL DEFAULT '[]' CHECK (attempts::json IS NOT NULL),
    created_at  BIGINT  NOT NULL,
    due_at      BIGINT  NOT NULL,
    ended_at    BIGINT,
    -- The claim: whose it is, the number that proves it, and when it ends by itself.
    owner       TEXT,
    fence       BIGINT  NOT NULL DEFAULT 0,
    lease_until BIGINT,

    CHECK ((state = 'in_flight') = (owner IS NOT NULL)),
    CHECK ((owner IS NULL) = (lease_until IS NULL)),
    CHECK ((state IN ('delivered', 'dead')) = (ended_at IS NOT NULL)),
    CHECK (NOT head OR ended_at IS NULL)
);

CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint, seq);
CREATE INDEX webhook_deliveries_open ON webhook_deliveries (endpoint, lane, seq) WHERE ended_at IS NULL;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint, due_at, seq)
    WHERE state = 'pending' AND head;
CREATE INDEX webhook_deliveries_claimed ON webhook_deliveries (owner, endpoint) WHERE state = 'in_flight';
CREATE INDEX webhook_deliveries_dead ON webhook_deliveries (endpoint, seq) WHERE state = 'dead';
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (state, ended_at) WHERE ended_at IS NOT NULL;
