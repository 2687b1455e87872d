-- When the token of a spent code expires at the latest, so that it can be revoked when the code comes again.
-- Null in rows of an older release.
alter table spent_code add column token_expires_at integer;
