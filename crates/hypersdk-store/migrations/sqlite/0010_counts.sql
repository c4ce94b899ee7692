-- How many jobs are in each state, kept by the database itself: counting a million rows takes too long for a
-- request, and nothing that changes a job can forget these.
CREATE TABLE job_counts (
    status TEXT    NOT NULL PRIMARY KEY,
    jobs   INTEGER NOT NULL CHECK (jobs >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO job_counts (status, jobs)
SELECT status.value, (SELECT count(*) FROM jobs WHERE jobs.status = status.value)
FROM json_each('["pending", "running", "completed", "failed", "cancelled"]') AS status;

CREATE TRIGGER jobs_counted_in AFTER INSERT ON jobs BEGIN
    UPDATE job_counts SET jobs = jobs + 1 WHERE status = NEW.status;
END;

CREATE TRIGGER jobs_counted_out AFTER DELETE ON jobs BEGIN
    UPDATE job_counts SET jobs = jobs - 1 WHERE status = OLD.status;
END;

CREATE TRIGGER jobs_counted_over AFTER UPDATE OF status ON jobs WHEN OLD.status <> NEW.status BEGIN
    UPDATE job_counts SET jobs = jobs - 1 WHERE status = OLD.status;
    UPDATE job_counts SET jobs = jobs + 1 WHERE status = NEW.status;
END;

-- When the next job that waits for a time is due.
CREATE INDEX jobs_not_before ON jobs (not_before) WHERE status = 'pending' AND not_before IS NOT NULL;
