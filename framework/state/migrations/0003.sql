-- The time of the last sync or resync that decided all identities of an audience: no membership counts as older than it.
ALTER TABLE audiences ADD COLUMN decided BIGINT;
