-- Schedules and their firings. Times are microseconds since 1970 in UTC.

CREATE TABLE scheduled_jobs (
    id               TEXT    PRIMARY KEY,
    name             TEXT    NOT NULL,
    -- This column decides; the name in `spec` follows the one above.
    enabled          INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    -- For people who look: `spec` has the same.
    schedule         TEXT    NOT NULL,
    timezone         TEXT    NOT NULL,
    spec             TEXT    NOT NULL CHECK (json_valid(spec)),
    -- Rises with every change that somebody makes.
    revision         INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    -- Every time up to this one has been dealt with.
    accounted_until  INTEGER NOT NULL,
    last_run         INTEGER,
    run_count        INTEGER NOT NULL DEFAULT 0 CHECK (run_count >= 0),
    missed_count     INTEGER NOT NULL DEFAULT 0 CHECK (missed_count >= 0),
    failures         INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
    disabled_because TEXT
) STRICT;

CREATE TABLE schedule_firings (
    schedule   TEXT    NOT NULL REFERENCES scheduled_jobs (id) ON DELETE CASCADE,
    planned_at INTEGER NOT NULL,
    cause      TEXT    NOT NULL CHECK (cause IN ('time', 'catch_up', 'manual')),
    state      TEXT    NOT NULL
        CHECK (state IN ('waiting', 'pending', 'running', 'succeeded', 'failed', 'cancelled', 'missed')),
    created_at INTEGER NOT NULL,
    fired_at   INTEGER,
    ended_at   INTEGER,
    jobs       TEXT    NOT NULL CHECK (json_valid(jobs)),
    reason     TEXT,
    -- Who starts it, and when it last said so.
    owner      TEXT,
    heard_at   INTEGER,

    -- A time fires once.
    PRIMARY KEY (schedule, planned_at),
    CHECK ((state = 'pending') = (owner IS NOT NULL)),
    CHECK ((owner IS NULL) = (heard_at IS NULL)),
    CHECK ((state IN ('waiting', 'pending', 'running')) = (ended_at IS NULL)),
    CHECK ((state IN ('running', 'succeeded', 'failed', 'cancelled')) = (fired_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX schedule_firings_open ON schedule_firings (schedule, planned_at)
    WHERE state IN ('waiting', 'pending', 'running');

-- How often any schedule was added, changed by somebody, or removed.
CREATE TABLE schedule_changes (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL
) STRICT;

INSERT INTO schedule_changes (id, number) VALUES (1, 0);
