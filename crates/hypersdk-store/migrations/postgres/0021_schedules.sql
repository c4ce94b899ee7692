-- Schedules and their firings. Times are microseconds since 1970 in UTC.

CREATE TABLE scheduled_jobs (
    id               TEXT    COLLATE "C" PRIMARY KEY,
    name             TEXT    NOT NULL,
    -- This column decides; the name in `spec` follows the one above.
    enabled          BOOLEAN NOT NULL,
    -- For people who look: `spec` has the same.
    schedule         TEXT    NOT NULL,
    timezone         TEXT    NOT NULL,
    spec             TEXT    NOT NULL CHECK (spec::json IS NOT NULL),
    -- Rises with every change that somebody makes.
    revision         BIGINT NOT NULL,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    -- Every time up to this one has been dealt with.
    accounted_until  BIGINT NOT NULL,
    last_run         BIGINT,
    run_count        BIGINT NOT NULL DEFAULT 0 CHECK (run_count >= 0),
    missed_count     BIGINT NOT NULL DEFAULT 0 CHECK (missed_count >= 0),
    failures         BIGINT NOT NULL DEFAULT 0 CHECK (failures >= 0),
    disabled_because TEXT
);

CREATE TABLE schedule_firings (
    schedule   TEXT    COLLATE "C" NOT NULL REFERENCES scheduled_jobs (id) ON DELETE CASCADE,
    planned_at BIGINT NOT NULL,
    cause      TEXT    NOT NULL CHECK (cause IN ('time', 'catch_up', 'manual')),
    state      TEXT    NOT NULL
        CHECK (state IN ('waiting', 'pending', 'running', 'succeeded', 'failed', 'cancelled', 'missed')),
    created_at BIGINT NOT NULL,
    fired_at   BIGINT,
    ended_at   BIGINT,
    jobs       TEXT    NOT NULL CHECK (jobs::json IS NOT NULL),
    reason     TEXT,
    -- Who starts it, and when it last said so.
    owner      TEXT,
    heard_at   BIGINT,

    -- A time fires once.
    PRIMARY KEY (schedule, planned_at),
    CHECK ((state = 'pending') = (owner IS NOT NULL)),
    CHECK ((owner IS NULL) = (heard_at IS NULL)),
    CHECK ((state IN ('waiting', 'pending', 'running')) = (ended_at IS NULL)),
    CHECK ((state IN ('running', 'succeeded', 'failed', 'cancelled')) = (fired_at IS NOT NULL))
);

CREATE INDEX schedule_firings_open ON schedule_firings (schedule, planned_at)
    WHERE state IN ('waiting', 'pending', 'running');

-- How often any schedule was added, changed by somebody, or removed.
CREATE TABLE schedule_changes (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    number BIGINT NOT NULL
);

INSERT INTO schedule_changes (id, number) VALUES (1, 0);
