-- Schedules and firings as version 0.3.0 wrote them, in every kind of database alike. Never change a row: what is
-- here must stay readable.

INSERT INTO scheduled_jobs (id, name, enabled, schedule, timezone, spec, revision, created_at, updated_at,
                            accounted_until, last_run, run_count, missed_count, failures, disabled_because)
VALUES
    ('daily-backup', 'Daily Backup', TRUE, '0 2 * * *', 'UTC',
     '{"name":"Daily Backup","schedule":"0 2 * * *","job_template":{"vm_path":"/datacenter/vm/test-vm","output_path":"/tmp/backups","format":"ova"}}',
     1, 1795478400000000, 1795478400000000, 1795478400000000, NULL, 0, 0, 0, NULL),
    ('given-up', 'given-up', FALSE, '*/5 * * * * *', 'America/New_York',
     '{"name":"given-up","description":"","tags":[],"schedule":"*/5 * * * * *","timezone":"America/New_York","job_template":{},"overlap":"queue","catch_up":"none","jitter":{"secs":0,"nanos":0},"windows":[],"blackouts":[],"max_failures":3,"retention":null}',
     7, 1795478400000001, 1795478500000002, 1795478505000000, 1795478505100000, 40, 2, 3, 'disabled after 3 failures in a row; the last: no space'),
    ('weekend', 'Wöchentlich, O''Brien''s', TRUE, '30 3 1,15 * sat', 'Europe/Berlin',
     '{"name":"Wöchentlich, O''Brien''s","description":"both halves of the month","tags":["prod","berlin"],"schedule":"30 3 1,15 * sat","timezone":"Europe/Berlin","job_template":{"vm_path":"/DC0/vm/prod/*","output_dir":"/srv/exports","compress":true},"overlap":"cancel_previous","catch_up":{"all":{"limit":20}},"jitter":{"secs":90,"nanos":0},"windows":[{"days":["Sat","Sun"],"from":"22:00:00","to":"06:00:00"}],"blackouts":[{"from":"2026-12-24T00:00:00Z","to":"2026-12-27T00:00:00Z","reason":"holidays"}],"max_failures":null,"retention":null}',
     2, 1795478400000000, 1795478460000000, 1795480000000000, 1795480000000000, 3, 1, 0, NULL);

INSERT INTO schedule_firings (schedule, planned_at, cause, state, created_at, fired_at, ended_at, jobs, reason,
                              owner, heard_at)
VALUES
    ('weekend', 1795479000000000, 'catch_up', 'missed', 1795479000000100, NULL, 1795479000000100, '[]', 'a blackout: holidays', NULL, NULL),
    ('weekend', 1795479100000000, 'time', 'failed', 1795479100000100, 1795479100000200, 1795479100000300, '["weekend-20261124T001140Z-vm-1","weekend-20261124T001140Z-vm-2"]', '1 of 2 jobs failed', NULL, NULL),
    ('weekend', 1795479200000000, 'manual', 'succeeded', 1795479200000100, 1795479200000200, 1795479200000300, '["weekend-20261124T001320Z-vm-1"]', NULL, NULL, NULL),
    ('weekend', 1795479300000000, 'time', 'cancelled', 1795479300000100, 1795479300000200, 1795479300000300, '[]', NULL, NULL, NULL),
    ('weekend', 1795480000000000, 'time', 'running', 1795480000000100, 1795480000000200, NULL, '["weekend-20261124T002640Z-vm-1"]', NULL, NULL, NULL),
    ('given-up', 1795478500000000, 'time', 'pending', 1795478500000100, NULL, NULL, '[]', NULL, '0199f1f2-0000-7000-8000-000000000000', 1795478500000100),
    ('given-up', 1795478505000000, 'time', 'waiting', 1795478505000100, NULL, NULL, '[]', NULL, NULL, NULL);
