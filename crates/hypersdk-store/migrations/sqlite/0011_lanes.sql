-- What a job waits with (provider, labels, submitter: see the core's Lane), and how many jobs it still comes after.
ALTER TABLE jobs ADD COLUMN lane TEXT NOT NULL DEFAULT '[null,[],null]' CHECK (json_valid(lane));
ALTER TABLE jobs ADD COLUMN blocked_by INTEGER NOT NULL DEFAULT 0 CHECK (blocked_by >= 0);

UPDATE jobs SET lane = json_array(json_extract(spec, '$.provider'), json('[]'), NULL);

DROP INDEX jobs_by_turn;
CREATE INDEX jobs_by_lane ON jobs (lane, priority DESC, seq) WHERE status = 'pending' AND blocked_by = 0;

CREATE TABLE job_dependencies (
    -- The one that must be completed first.
    needs TEXT NOT NULL REFERENCES jobs (id),
    job   TEXT NOT NULL REFERENCES jobs (id),
    PRIMARY KEY (needs, job)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_dependencies_by_job ON job_dependencies (job);

-- The processes that share the database.
CREATE TABLE nodes (
    name     TEXT    NOT NULL PRIMARY KEY,
    report   TEXT    NOT NULL CHECK (json_valid(report)),
    heard_at INTEGER NOT NULL,
    paused   INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1))
) STRICT;

-- How far whoever reads the log has come. What lies after the lowest of these is not forgotten.
CREATE TABLE event_cursors (
    name TEXT    NOT NULL PRIMARY KEY,
    seq  INTEGER NOT NULL
) STRICT;
