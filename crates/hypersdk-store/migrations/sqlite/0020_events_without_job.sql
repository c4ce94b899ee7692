-- An event may be about something other than a job. SQLite cannot drop a column's NOT NULL, so the table is
-- made anew, with the same rows, numbers and next number.

CREATE TABLE events_anew (
    -- Rises and is never used twice.
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    kind TEXT    NOT NULL,
    -- The job it is about, if it is about one.
    job  TEXT    REFERENCES jobs (id),
    data TEXT    NOT NULL CHECK (json_valid(data)),

    CHECK (job IS NOT NULL OR kind NOT LIKE 'job.%')
) STRICT;

INSERT INTO sqlite_sequence (name, seq) SELECT 'events_anew', seq FROM sqlite_sequence WHERE name = 'events';
INSERT INTO events_anew SELECT seq, time, kind, job, data FROM events;
DROP TABLE events;
ALTER TABLE events_anew RENAME TO events;

CREATE INDEX events_by_job ON events (job, seq);
